import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from eval.report.figures import Subject, curves, draw, draw_all
from eval.statistics.summary import tables
from logic.boolean.language import Boolean
from loop.cycles import CONTROLS
from tests.columns import filled

SUBJECT = Subject(frozenset(CONTROLS), Boolean())
FIGURES = SUBJECT.figures()
MEASURES = [measure for measures, _ in FIGURES.values() for measure in measures]
NAMES = ["headline", *FIGURES]


def run(cells, generations=5):
    rng = np.random.default_rng(0)
    rows = []
    for t in range(generations):
        for cycle, ratio, seed in cells:
            row = filled(0.5) | {measure: rng.uniform(0.2, 0.9) for measure in MEASURES}
            rows.append(row | {"cycle": cycle, "fresh_ratio": ratio, "seed": seed, "generation": t})
    return tables(rows)[0]


def grid(cycles=("full",), ratios=(0.0, 0.5), seeds=2, control=True):
    cells = [(cycle, ratio, seed) for cycle in cycles for ratio in ratios for seed in range(seeds)]
    return cells + [("fresh", 1.0, seed) for seed in range(seeds) if control]


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.axison]


def lines(ax):
    """Label -> (x, y) of the lines of a panel."""
    return {line.get_label(): np.array(line.get_data()) for line in ax.lines}


@pytest.mark.slow
def test_every_file_is_written(tmp_path):
    drawn = draw_all({"a": run(grid())}, tmp_path, SUBJECT)
    assert [figure.name for figure in drawn] == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.{kind}" for name in NAMES for kind in ("png", "svg", "csv")
    )
    for name in NAMES:
        image = matplotlib.image.imread(tmp_path / f"{name}.png")[:, :, :3]
        assert min(image.shape[:2]) > 500
        assert (image.mean(axis=2) < 0.5).mean() > 0.005  # drawn on, and in colour
        assert (image.max(axis=2) - image.min(axis=2)).max() > 0.3
    assert all("smallest to the largest seed" in figure.caption and "control" in figure.caption for figure in drawn)


@pytest.mark.slow
def test_figures_do_not_follow_the_users_matplotlibrc(tmp_path):
    for folder in ("plain", "users"):
        (tmp_path / folder).mkdir()
    draw_all({"a": run(grid(seeds=1))}, tmp_path / "plain", SUBJECT)
    with matplotlib.rc_context({"text.usetex": True, "font.size": 20, "savefig.bbox": "tight"}):
        draw_all({"a": run(grid(seeds=1))}, tmp_path / "users", SUBJECT)
    for path in (tmp_path / "plain").iterdir():
        assert path.read_bytes() == (tmp_path / "users" / path.name).read_bytes()


@pytest.mark.slow
def test_drawn_data_are_the_metrics(tmp_path):
    metrics = run(grid(cycles=("full", "balanced"), seeds=3))
    draw_all({"a": metrics}, tmp_path, SUBJECT)
    for name, (measures, _) in FIGURES.items():
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert len(table) == 5 * 5  # groups, generations
        for row in table.to_dict("records"):
            same = metrics[["cycle", "fresh_ratio", "generation"]] == [
                row[k] for k in ("cycle", "fresh_ratio", "generation")
            ]
            part = metrics[same.all(axis=1)]
            assert row["seeds"] == 3
            for measure in measures:
                expected = part[measure].mean(), part[measure].min(), part[measure].max()
                assert tuple(row[f"{measure}_{what}"] for what in ("mean", "min", "max")) == pytest.approx(expected)


def test_lines_are_means_over_seeds_and_the_control_is_in_every_panel():
    metrics = run(grid(cycles=("full", "balanced")))
    figure, _ = draw({"a": metrics}, ("sample_entropy",), SUBJECT)
    assert titles(figure) == ["full", "balanced"]
    for ax in figure.axes:
        assert set(lines(ax)) == {"φ = 0", "φ = 0.5", "control (fresh)"}
        part = metrics[(metrics["cycle"] == ax.get_title()) & (metrics["fresh_ratio"] == 0.5)]
        x, y = lines(ax)["φ = 0.5"]
        np.testing.assert_array_equal(x, range(5))
        np.testing.assert_allclose(y, part.groupby("generation")["sample_entropy"].mean())
        assert len(ax.collections) == 3  # bands


def test_lines_differ_in_more_than_colour():
    ratios = (0.0, 0.25, 0.5, 0.75, 1.0)
    figure, _ = draw({"a": run(grid(ratios=ratios))}, ("unique_fraction",), SUBJECT)
    drawn = [line for line in figure.axes[0].lines if line.get_label() != "control (fresh)"]
    assert len({line.get_marker() for line in drawn}) == len({str(line.get_color()) for line in drawn}) == len(ratios)


@pytest.mark.slow
def test_one_seed_has_no_band(tmp_path):
    figure, _ = draw({"a": run(grid(seeds=1))}, ("unique_fraction",), SUBJECT)
    assert not figure.axes[0].collections
    assert not any("band" in drawn.caption for drawn in draw_all({"a": run(grid(seeds=1))}, tmp_path, SUBJECT))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "generations", "panels"),
    [
        ([("full", 0.0, 0)], 1, ["full"]),
        ([("fresh", 1.0, 0)], 3, ["fresh"]),
        ([("full", 1.0, 0)], 3, ["full"]),
        (grid(cycles=("full", "incremental", "balanced", "expanding", "subsample")), 2, None),
    ],
    ids=["one point", "only the control", "phi 1", "five cycles"],
)
def test_unusual_runs_render(cells, generations, panels, tmp_path):
    metrics = run(cells, generations)
    draw_all({"a": metrics}, tmp_path, SUBJECT)
    figure, _ = draw({"a": metrics}, ("levenshtein_diversity",), SUBJECT)
    cycles = [cycle for cycle in dict.fromkeys(metrics["cycle"]) if cycle != "fresh"]
    assert titles(figure) == (panels or cycles)


def test_several_runs_are_labelled_and_keep_their_own_control():
    first, second = run(grid()), run(grid(cycles=("full", "balanced"), control=False))
    figure, table = draw({"first": first, "second": second}, ("unique_fraction",), SUBJECT)
    assert titles(figure) == ["full · first", "full · second", "balanced · second"]
    assert ["control (fresh)" in lines(ax) for ax in figure.axes[:3]] == [True, False, False]
    assert set(table["run"]) == {"first", "second"}


def test_a_seed_that_ended_counts_as_long_as_it_lasted():
    metrics = run(grid(control=False))
    metrics = metrics[(metrics["seed"] == 0) | (metrics["generation"] < 3)]
    table = curves({"a": metrics}, ("unique_fraction",))
    assert table[table["fresh_ratio"] == 0.0]["seeds"].tolist() == [2, 2, 2, 1, 1]


@pytest.mark.slow
def test_svg_is_deterministic(tmp_path):
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_all({"a": run(grid())}, tmp_path / name, SUBJECT)
        texts.append([(tmp_path / name / f"{figure}.svg").read_bytes() for figure in NAMES])
    assert texts[0] == texts[1]
    assert b"dc:date" not in texts[0][0]
