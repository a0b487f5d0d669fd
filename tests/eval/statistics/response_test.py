"""The axes of several runs, and laws that are planted, broken, or cannot be fitted."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from eval.report.response_figure import draw_and_save
from eval.statistics.response import laws, places, records, responses, sentence
from eval.statistics.summary import Summary, summary, tables
from loop.cell import Cell
from tests.columns import filled


def config(temperature, examples=100, **sweep):
    return {
        "sample": {"temperature": temperature, "top_k": 0},
        "loop": {"num_examples": examples, "num_samples": examples},
        "train": {"windows": "aligned", "flag": temperature > 0.5},
        "sweep": sweep,
    }


def run(half_life, seeds=4, noise=0.0, seed=0):
    """The summary of cells with these half-lives, but for a factor that differs between them."""
    halves = half_life * np.exp(noise * np.random.default_rng(seed).standard_normal(seeds))
    cells = [dataclasses.asdict(Cell("full", 0.0, s)) | {"half_life": half} for s, half in enumerate(halves)]
    return Summary(pd.DataFrame(cells), pd.DataFrame())


def measured(half_life, generations):
    """The summary of a run whose diversity halves every `half_life` generations."""
    rows = [
        filled(0.5)
        | {"levenshtein_diversity": 0.5 * 0.5 ** (t / half_life)}
        | {"cycle": "full", "fresh_ratio": 0.0, "seed": s, "generation": t}
        for t in range(generations)
        for s in range(2)
    ]
    return summary(tables(rows)[0])


def test_axes_are_the_numbers_that_differ_and_those_that_move_together_are_one():
    configs = {f"{t},{m}": config(t, m, seeds=[m]) for t in (0.4, 0.8) for m in (100, 400)}
    where = places(configs)
    assert list(where) == ["sample.temperature", "loop.num_examples"]
    assert where.loc["0.8,100"].tolist() == [0.8, 100]
    assert places({"a": config(1.0), "b": config(1.0)}).empty


@pytest.mark.parametrize("exponent", [-1.0, 0.5, 2.0])
def test_a_planted_law_is_found_within_its_interval(exponent):
    inside = 0
    for seed in range(40):
        configs = {f"{t}": config(t) for t in (0.5, 0.7, 1.0, 1.4)}
        runs = {
            f"{t}": run(8 * t**exponent, noise=0.1, seed=1000 * seed + i) for i, t in enumerate((0.5, 0.7, 1.0, 1.4))
        }
        (law,) = laws(places(configs), runs)
        assert law.axis == "sample.temperature" and law.misfit < 0.3
        inside += law.exponent.low <= exponent <= law.exponent.high
    assert inside >= 33  # 95 % of 40 are 38; fewer than 33 happen once in 500 tries


def test_the_law_is_the_one_by_hand_and_says_so():
    configs = {f"{t}": config(t) for t in (0.5, 1.0, 2.0, 4.0)}
    runs = {f"{t}": run(2 * t, noise=0.0) for t in (0.5, 1.0, 2.0, 4.0)}
    (law,) = laws(places(configs), runs)
    assert law.exponent.mean == pytest.approx(1, abs=1e-6) and law.scale == pytest.approx(2, abs=1e-6)
    assert sentence(law, "full").startswith("full: half-life = 2 · sample.temperature^1.00")
    assert records([law])[0]["axis"] == "sample.temperature"


def test_a_curve_that_is_no_power_law_does_not_hold():
    halves = {0.5: 4.0, 1.0: 8.0, 2.0: 9.0, 4.0: 9.5}
    configs = {f"{t}": config(t) for t in halves}
    (law,) = laws(places(configs), {f"{t}": run(h, noise=0.02, seed=i) for i, (t, h) in enumerate(halves.items())})
    assert not law.holds and "curved" in sentence(law, "full")


def test_a_half_life_that_is_the_same_everywhere_is_a_law():
    values = (16.0, 32.0, 48.0, 96.0)
    (law,) = laws(places({f"{v}": config(v) for v in values}), {f"{v}": run(9.9, noise=0.0) for v in values})
    assert law.holds and law.exponent.mean == pytest.approx(0, abs=1e-9)


def test_there_is_no_law_where_a_cell_never_halves_or_values_are_few():
    configs = {f"{t}": config(t) for t in (0.5, 1.0, 2.0)}
    assert not laws(places(configs), {f"{t}": run(h) for t, h in ((0.5, 4), (1.0, 8), (2.0, np.nan))})
    two = {name: configs[name] for name in ("0.5", "1.0")}
    assert not laws(places(two), {name: run(8) for name in two})


@pytest.mark.slow
def test_figure_and_table_have_every_run_at_its_place(tmp_path):
    configs = {f"{t},{m}": config(t, m) for t in (0.5, 1.0, 2.0) for m in (100, 1000)}
    one = measured(8, generations=12)
    runs = dict.fromkeys(configs, one)
    groups = dict.fromkeys(configs, one.groups)
    table = responses(places(configs), groups)
    assert table[["sample.temperature", "loop.num_examples"]].drop_duplicates().shape[0] == 6
    assert table["half_life"].to_numpy() == pytest.approx(8)
    (drawn,) = draw_and_save(configs, runs, groups, frozenset({"fresh"}), tmp_path)
    assert "half-life = 8 · sample.temperature^" in drawn.caption  # a law of exponent 0
    names = ["response.csv", "response.png", "response.svg", "response_laws.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert not draw_and_save({"a": config(1.0)}, {"a": one}, {"a": one.groups}, frozenset(), tmp_path)
