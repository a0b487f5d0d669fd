"""Whose fall it is: what the page, the terminal and the files of a report say of it."""

import dataclasses

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from eval.mean_field import mean_fields
from eval.report.build import build_report, read_run
from eval.report.decomposition_figure import draw
from eval.report.figures import Subject, draw_headline
from eval.report.terminal import print_findings
from eval.report.theory import theory
from eval.statistics.decomposition import decompose
from eval.statistics.summary import tables
from logic.boolean.language import Boolean
from loop.config import Config, LoopConfig, SweepConfig
from loop.cycles import CONTROLS
from loop.storage.run_directory import RunDirectory
from model.config import ModelConfig, SampleConfig
from tests.columns import COLUMNS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]  # but the report of the fixture

CONFIG = Config(
    Boolean(1, 2),
    ModelConfig(context_length=16),
    sample=SampleConfig(temperature=0.6),
    loop=LoopConfig(generations=4, num_examples=100, num_samples=100),
    sweep=SweepConfig(("full", "fresh"), (0.0, 0.5), (0, 1, 2), ("transformer", "memoriser")),
)
TOO_DEEP = {"language": {"name": "boolean", "min_depth": 1, "max_depth": 5}}


def make_run(path, learners=("transformer", "memoriser"), **other):
    rng = np.random.default_rng(0)
    run = RunDirectory(path)
    run.create(dataclasses.asdict(CONFIG) | other, "2 x cpu")
    rows = []
    for cell in CONFIG.cells():
        if cell.learner not in learners:
            continue
        rate = 0.0 if cell.cycle == "fresh" else 0.3 * (1 - cell.fresh_ratio) + 0.1 * cell.is_network
        for t in range(4):
            diversity = 0.49 * float(np.exp(-rate * t)) * rng.uniform(0.98, 1.02)
            row = dict.fromkeys(COLUMNS, 0.9) | cell.keys | {"generation": t, "levenshtein_diversity": diversity}
            rows.append(row)
    run.write_rows(rows)
    return run


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("shares") / "run")
    return run, build_report([run])


def test_page_and_terminal_tell_it_in_the_same_words(report, capsys):
    run, page = report
    html = page.read_text(encoding="utf-8")
    section = html.split('<section id="shares">')[1].split("</section>")[0]
    sentences = [part.split("</li>")[0] for part in section.split("<li>")[1:]]
    assert [s.split(":")[0] for s in sentences] == ["full, fresh 0", "full, fresh 0.5"]
    assert all(", finite samples " in s and ", network " in s and ": temperature -" in s for s in sentences)
    print_findings(read_run(run))
    printed = " ".join(capsys.readouterr().out.split())
    assert all(s in printed for s in sentences)
    assert "Not told apart" not in printed and "Not told apart" not in section
    assert "fresh data stops its fall at a fixed point: at φ = 0.5 from 0.493 to 0.400" in printed
    assert section.count("<tr>") == 3
    assert 'alt="Whose fall it is' in html


def test_files_are_there_and_their_rows_add_up(report):
    _, page = report
    for kind in ("png", "svg", "csv"):
        assert (page.parent / f"decomposition.{kind}").stat().st_size > 500
    image = matplotlib.image.imread(page.parent / "decomposition.png")[:, :, :3]
    assert (image.max(axis=2) - image.min(axis=2) > 0.3).mean() > 0.01  # coloured bars
    rows = pd.read_csv(page.parent / "decomposition.csv")
    assert len(rows) == 2 * 4
    parts = rows[["temperature_part", "finite_samples_part", "learner_part"]].sum(axis=1, skipna=False)
    np.testing.assert_allclose(parts, rows["observed"], rtol=0, atol=1e-12)
    cells = pd.read_csv(page.parent / "summary_groups.csv")
    cells = cells[(cells["learner"] == "transformer") & (cells["cycle"] == "full")].set_index("fresh_ratio")
    last = rows[rows["generation"] == 3].set_index("fresh_ratio")["observed"]
    assert last.to_dict() == pytest.approx(cells["diversity_change"].to_dict())


@pytest.mark.parametrize(
    ("learners", "other", "told", "why"),
    [
        (("transformer",), {}, 2, ["sweep.learners=transformer,memoriser"]),
        (("transformer", "memoriser"), TOO_DEEP, 2, ["language.max_depth = 5"]),
        (("transformer",), TOO_DEEP, 0, ["language.max_depth = 5", "sweep.learners=transformer,memoriser"]),
    ],
    ids=["no memoriser", "no mean field", "neither"],
)
def test_what_cannot_be_told_is_said_in_one_line(learners, other, told, why, tmp_path, capsys):
    run = make_run(tmp_path / "run", learners, **other)
    html = build_report([run]).read_text(encoding="utf-8")
    section = html.split('<section id="shares">')[1].split("</section>")[0]
    line = section.split("Not told apart: ")[1].split("</p>")[0]
    assert all(reason in line for reason in why)
    assert section.count("<li>") == section.count(" together ") == told
    assert (run.report / "decomposition.png").exists() == (told > 0)
    print_findings(read_run(run))
    printed = " ".join(capsys.readouterr().out.split())
    assert "Not told apart: " in printed and ("Whose fall it is" in printed) == (told > 0)


def test_bars_of_a_panel_add_up_to_its_line(report):
    run, _ = report
    metrics, _ = tables(run.rows(), CONTROLS)
    fields = {(s.cycle, s.fresh_ratio): f for s, f in mean_fields(CONFIG).items()}
    figure, _ = draw({"run": decompose(metrics, fields)})
    assert [ax.get_title() for ax in figure.axes] == ["full, φ = 0", "full, φ = 0.5"]
    for ax in figure.axes:
        (line,) = (line for line in ax.lines if line.get_label() == "observed")
        bars = [list(container) for container in ax.containers]
        assert len(bars) == 2 * 3  # below and above zero, of every part
        heights = np.array([[bar.get_height() for bar in part] for part in bars])
        np.testing.assert_allclose(heights.sum(axis=0), np.asarray(line.get_ydata()), atol=1e-12)
        low, high = ax.get_ylim()
        assert all(low < bar.get_y() + bar.get_height() < high for part in bars for bar in part)


def test_the_headline_shows_the_curves_of_theory(report):
    run, page = report
    metrics, _ = tables(run.rows(), CONTROLS)
    fields = {(s.cycle, s.fresh_ratio): f for s, f in mean_fields(CONFIG).items()}
    figure, table, cycle = draw_headline(metrics, Subject(frozenset(CONTROLS), Boolean()), fields)
    diverse, correct = figure.axes
    assert cycle == "full"
    networks = {line.get_label(): line for line in diverse.lines}
    thin = [line for line in diverse.lines if line.get_linewidth() < 1.5 and np.size(line.get_xdata())]
    assert len(thin) == 4  # two fresh ratios, two curves of theory
    assert {line.get_color() for line in thin} == {networks[f"φ = {ratio}"].get_color() for ratio in ("0", "0.5")}
    assert not [line for line in correct.lines if line.get_linewidth() < 1.5]
    mine = metrics[(metrics["learner"] == "memoriser") & (metrics["cycle"] == "full")]
    mean = mine.groupby(["fresh_ratio", "generation"])["levenshtein_diversity"].mean()
    drawn = table[table["learner"] == "memoriser"].set_index(["fresh_ratio", "generation"])
    pd.testing.assert_series_equal(drawn["levenshtein_diversity_mean"].sort_index(), mean, check_names=False)
    curve = [row["levenshtein_diversity"] for row in fields["full", 0.5]["generations"]]
    field = table[(table["learner"] == "mean field") & (table["fresh_ratio"] == 0.5)]
    assert field["levenshtein_diversity_mean"].tolist() == curve
    assert "densely dotted" in page.read_text(encoding="utf-8")


def test_theory_of_a_run_without_any_is_empty(report):
    run, _ = report
    metrics, _ = tables(run.rows(), CONTROLS)
    assert theory(metrics[metrics["learner"] == "transformer"], {}, "full").empty
