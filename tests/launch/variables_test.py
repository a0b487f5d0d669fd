"""A language with variables from its configuration to its report: every learner, the analysis, the mean field."""

import dataclasses
import re

import numpy as np
import pytest

from eval.analyze import analyze, describe
from eval.loaded import load_generation
from eval.mean_field import mean_fields
from eval.measures.generation import measure_generation
from eval.measures.registry import columns
from eval.report.build import build_report, read_run
from eval.report.terminal import print_findings
from launch.configuration import resolve
from launch.presets import smoke
from logic.boolean.language import Boolean
from loop.cell import Cell
from loop.config import Config
from loop.run import run
from loop.storage.run_directory import RunDirectory

LEARNERS = ("transformer", "memoriser", "grammar", "ngram")


def configuration(max_depth: int, **sweep) -> Config:
    given = smoke.get_config()
    given.language.update(num_variables=2, max_depth=max_depth)
    given.model.context_length = 32
    given.loop.generations = 2
    given.sweep.update(cycles=("full",), fresh_ratios=(0.0,), **sweep)
    return resolve(given)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = configuration(3, learners=LEARNERS)
    directory = RunDirectory(tmp_path_factory.mktemp("variables") / "run")
    directory.create(dataclasses.asdict(config), "test", {"columns": columns(config.language)})
    run(config, directory, measure_generation)
    return config, directory


@pytest.mark.slow
def test_every_learner_goes_through_the_loop(finished):
    config, directory = finished
    assert config.language == Boolean(1, 3, 2) and config.model.vocab_size == 10
    rows = directory.rows()
    assert [(row["learner"], row["generation"]) for row in rows] == [(x, t) for t in (0, 1) for x in LEARNERS]
    for row in rows:
        missing = set(columns(config.language)) - set(row)
        assert set(row) <= set(columns(config.language))
        assert not missing if row["learner"] == "transformer" else {"train_loss", "steps"} < missing
        assert not missing & {"rows_true", "tv_functions", "unique_trees_fraction", "kl_depth"}
        assert row["semantic_correctness"] <= row["rows_true"] <= row["syntactic_correctness"]
        if row["learner"] in ("memoriser", "grammar"):
            assert row["in_support"] == row["rows_true"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
def test_samples_are_read_back_with_their_verdicts(finished, learner):
    config, directory = finished
    samples = directory.read_samples(Cell("full", 0.0, 0, learner), 1)
    verdicts = config.language.verify(samples.expressions)
    assert {name: x.tolist() for name, x in verdicts.items()} == {n: x.tolist() for n, x in samples.verdicts.items()}
    assert config.language.encode(config.language.decode(samples.expressions)) == samples.expressions


@pytest.mark.slow
def test_analysis_gives_the_runs_own_measures(finished):
    _, directory = finished
    loaded = load_generation(directory.path, Cell("full", 0.0, 0), 1)
    analysis = analyze(loaded)
    assert analysis.measures == {name: loaded.row[name] for name in analysis.measures}
    assert {"rows_true", "tv_functions"} <= set(analysis.measures) and analysis.record()["equal_to_run"] == 1
    (described,) = describe(loaded, loaded.language.encode(["(p or (not p))"]))
    assert described["in_support"] and described["log_real"] is not None and described["nll"] > 0


@pytest.mark.slow
def test_report_shows_depths_and_functions(finished, capsys):
    _, directory = finished
    page = build_report([directory])
    words = " ".join(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")).split())
    assert "Correctness by depth" in words and "Truth functions that changed most" in words
    assert "full, fresh 0, memoriser: correctness was 100.0% in generations 0 and 1 alike." in words
    assert {"correctness_by_depth.csv", "functions.csv"} <= {path.name for path in page.parent.iterdir()}
    print_findings(read_run(directory))
    assert "memoriser" in capsys.readouterr().out


def test_mean_field_is_that_of_the_tautologies():
    config = configuration(2)
    (result,) = mean_fields(config).values()
    assert result["generations"][0]["kl_from_real"] == 0  # D_0 is R
    p = np.exp(config.language.whole_support()[1])
    coverage = np.sum(p * (1 - (1 - sharpened(config)) ** config.loop.num_samples))
    assert result["generations"][0]["support_coverage"] == pytest.approx(coverage)


def sharpened(config: Config) -> np.ndarray:
    """R with every conditional raised to 1 / temperature, by sums over all beginnings of all tautologies."""
    listed, log_p = config.language.whole_support()
    p, listed = np.exp(log_p), [e + bytes(1) for e in listed]
    mass: dict[bytes, float] = {}
    for e, x in zip(listed, p.tolist(), strict=True):
        for i in range(len(e) + 1):
            mass[e[:i]] = mass.get(e[:i], 0.0) + x
    power = {b: (x / mass[b[:-1]]) ** (1 / config.sample.temperature) if b else 1.0 for b, x in mass.items()}
    total: dict[bytes, float] = {}
    for b, x in power.items():
        total[b[:-1]] = total.get(b[:-1], 0.0) + x * (b != b"")
    return np.array([np.prod([power[e[:i]] / total[e[: i - 1]] for i in range(1, len(e) + 1)]) for e in listed])
