"""Planted answers on simulated curves: noise of every generation, and a random walk of every seed."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression

from eval.statistics import onset
from eval.statistics.fall import Comparison, Decline, comparisons, declines, record, sentence
from eval.statistics.findings import NOT_SHOWN, SHOWN, findings
from eval.statistics.intervals import Estimate
from eval.statistics.onset import Median, Onset, group_onset, half_life, median_time
from eval.statistics.summary import summary
from eval.statistics.trend import FALLING, NO_FALL, PLATEAU, UNDECIDED, Shape
from tests.columns import COLUMNS

WALK = 0.003  # of the start, per generation
NOISES = (0.01, 0.02, 0.03)


def simulate(curve, seeds, generations, noise, number, walk=WALK):
    """Diversity of some seeds around the planted curve, which begins at 1."""
    rng = np.random.default_rng([number, seeds, generations])
    size = (seeds, generations)
    steps = np.cumsum(walk * rng.standard_normal(size), 1)
    return 0.55 * (curve(np.arange(generations)) + noise * rng.standard_normal(size) + steps)


def table(curves, cycle="incremental", ratio=0.25, seeds=None):
    rows = [
        dict.fromkeys(COLUMNS, 0.9)
        | {"cycle": cycle, "fresh_ratio": ratio, "seed": seed, "generation": t, "levenshtein_diversity": float(value)}
        for seed, curve in zip(seeds or itertools.count(), curves, strict=False)
        for t, value in enumerate(curve)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(control=cycle == "fresh" or ratio == 1, correctness=0.9)


def flat(t):
    return np.ones(len(t))


def to_floor(floor, tau):
    return lambda t: floor + (1 - floor) * np.exp(-t / tau)


def linear(fall, last=49):
    return lambda t: 1 - fall * t / last


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("curve", "first"), [(to_floor(0.0, 130), 7), (to_floor(0.0, 20), 2), (to_floor(0.7, 12), 3)])
def test_the_planted_onset_is_found(curve, first, noise):
    near, covered = 0, 0
    for i in range(100):
        # The control does not feed on itself, so it does not wander.
        found = onset.onset(simulate(curve, 5, 50, noise, i), simulate(flat, 5, 50, noise, 1000 + i, 0.0), True)
        assert found.generation is not None and found.low is not None
        near += abs(found.generation - first) <= (4 if first == 7 else 2)
        covered += found.low <= first <= (np.inf if found.high is None else found.high)
    assert near >= 95 and covered >= 92


@pytest.mark.parametrize("noise", NOISES)
def test_what_does_not_fall_has_no_onset(noise):
    found = [
        onset.onset(simulate(flat, 5, 50, noise, i), simulate(flat, 5, 50, noise, 1000 + i, 0.0), True)
        for i in range(100)
    ]
    assert sum(o == Onset(None, o.low, None) for o in found) >= 95


def test_onset_is_the_first_generation_below_95_percent_of_the_control():
    control = table([[0.5, 0.4, 0.5, 0.5]] * 3, "fresh", 1.0)
    own = table([[0.5, 0.385, 0.48, 0.47], [0.5, 0.385, 0.475, 0.46]], seeds=[1, 2])
    key = ("incremental", 0.25)
    assert group_onset(pd.concat([own, control]), key) == Onset(3, 2, None)  # two seeds: Student's t of one degree
    unpaired = table([[0.5, 0.385, 0.48, 0.47]] * 2, seeds=[8, 9])
    assert group_onset(pd.concat([unpaired, control]), key) == Onset(3, 3, 3)
    assert group_onset(pd.concat([unpaired[unpaired["seed"] == 8], control]), key) == Onset(3)
    in_the_cycle = table([[0.5, 0.4, 0.5, 0.5]] * 3, ratio=1.0)
    both = pd.concat([own, in_the_cycle])
    assert group_onset(both, key).generation == 3
    assert group_onset(own, key) == group_onset(both, ("incremental", 1.0)) == Onset()


def test_onset_compares_seeds_with_themselves():
    """Seeds that begin at different heights, in the control too: only pairs tell that each falls in generation 2."""
    heights = np.linspace(0.3, 0.7, 5)[:, None]
    found = onset.onset(heights * [1, 1, 0.9, 0.9], heights * [1, 1, 1, 1], True)
    assert found == Onset(2, 2, 2)
    assert onset.onset(heights * [1, 1, 0.9, 0.9], heights * [1, 1, 1, 1], False) != found


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("tau", [5, 20, 60])
def test_the_planted_half_life_is_found(tau, noise):
    true, near, covered = tau * math.log(2), 0, 0
    for i in range(100):
        times = [half_life(c) for c in simulate(to_floor(0.0, tau), 5, 50, noise, i)]
        found = median_time(times, [49] * 5)
        assert found.median is not None and found.low is not None
        near += abs(found.median - true) <= 0.12 * true
        covered += found.low <= true <= (np.inf if found.high is None else found.high)
    assert near >= 95 and covered >= 88  # five seeds' range holds their median 15 times of 16


def test_an_onset_without_pairs_draws_the_control_anew():
    """Two seeds against five: with the control's resamples merged by count, two thirds were covered."""
    covered = 0
    for i in range(200):
        own = simulate(to_floor(0.0, 130), 2, 50, 0.02, i)
        found = onset.onset(own, simulate(flat, 5, 50, 0.02, 1000 + i, 0.0), False)
        assert found.low is not None
        covered += found.low <= 7 <= (np.inf if found.high is None else found.high)
    assert covered >= 186


def test_the_first_generation_below_is_that_of_isotonic_regression():
    rng = np.random.default_rng(0)
    ratio_BT = 1 - rng.uniform(-0.01, 0.03, (300, 1)) * np.arange(12) + 0.05 * rng.standard_normal((300, 12))
    found_B = onset._first_below(ratio_BT, np.ones_like(ratio_BT))
    for ratio_T, found in zip(ratio_BT, found_B, strict=True):
        below = np.flatnonzero(isotonic_regression(ratio_T, increasing=False).x < onset.ONSET)
        assert found == (below[0] if len(below) else np.inf)
    assert 50 < np.isinf(found_B).sum() < 250


def test_half_life_of_one_cell():
    assert half_life([0.8, 0.6, 0.3, 0.1]) == pytest.approx(1 + 2 / 3)
    assert half_life([0.8, 0.4]) == 1
    assert half_life([0.8, 0.41]) is None and half_life([0.0, 0.0]) is None
    assert half_life([0.8, 0.1, 0.8, 0.8]) is None  # it recovers
    assert half_life(0.5 * np.exp(-np.arange(50) / 20)) == pytest.approx(20 * math.log(2), rel=1e-3)


def test_median_respects_censoring():
    # By hand: S = 4/5 at 2; the one lost at 3 counts as at risk till then; S = 4/5 * 2/3 at 4, * 1/2 at 6.
    assert median_time([2, None, 4, 6, None], [9, 3, 9, 9, 9])[0] == 6
    assert median_time([2, 4, None, None], [9] * 4).median == 4  # S = 1/2 from there on
    assert median_time([2, 4, 6, 8], [9] * 4).median == 5  # the median of an even number
    assert median_time([2, None, None], [9] * 3) == Median(None, None, None, 1, 2)  # three have no interval
    assert median_time([2, 3, None, 4, None], [9, 9, 9, 9, 1]) == Median(3.5, 1, None, 3, 2)  # the last one: 1 or never
    assert median_time([1, 2, 3, 4, 5], [9] * 5) == Median(3, 1, 5, 5, 0)
    assert median_time([3], [9]) == Median(3, None, None, 1, 0)
    assert median_time([], []) == Median(None, None, None, 0, 0)


def test_nothing_falls_by_more_than_all():
    (found,) = declines(table([[0.5, 0.5], [0.5, 0.1]]))
    assert found.change.low == -1 and found.change.mean == pytest.approx(-0.4)


def test_ratios_are_compared_on_common_seeds():
    start = np.array([0.4, 0.5, 0.6])
    low = np.array([start, start * [0.5, 0.6, 0.7]]).T
    high = np.array([start, start * [0.7, 0.8, 0.9], start]).T  # one generation longer
    metrics = pd.concat([table(low, seeds=[1, 2, 3], ratio=0.0), table(high, seeds=[3, 2, 7], ratio=0.5)])
    (found,) = comparisons(metrics)
    assert isinstance(found, Comparison)
    row = record(found)
    assert [row[name] for name in ("cycle", "fresh_ratio", "other", "generation", "seeds")] == [
        "incremental",
        0,
        0.5,
        1,
        2,
    ]
    assert found.difference.seeds == 2 and found.difference.mean == pytest.approx((0.7 - 0.7 + 0.8 - 0.6) / 2)
    assert found.p == 1.0
    apart = metrics.assign(seed=metrics["seed"] + 10 * (metrics["fresh_ratio"] > 0))
    assert comparisons(apart)[0].p is None and comparisons(apart)[0].difference.mean == pytest.approx(0.8 - 0.6)


@pytest.mark.parametrize(
    ("shape", "last", "change", "falls", "expected"),
    [
        (Shape(FALLING, 0.979), 49, (-0.31, -0.352, -0.27), True, "-31 % [-35, -27] after 50 generations, {} 0.97)"),
        (Shape(PLATEAU, 0.93, 12.4), 49, (-0.31, -0.4, -0.1), True, "-31 % [-40, -10] after 50 generations, {} 0.93)"),
        (Shape(NO_FALL), 49, (0.004, -0.02, 0.03), False, "0 % [-2, +3] after 50 generations, {}"),
        (Shape(UNDECIDED, 0.7), 7, (-0.5, -0.6, -0.4), True, "-50 % [-60, -40] after 8 generations, {}"),
        (
            Shape(UNDECIDED),
            0,
            (None, None, None),
            None,
            "0 from the start after 1 generation, the first",
        ),
        (Shape(FALLING, 1.0), 8, (-0.31, -0.35, -0.27), True, "-31 % [-35, -27] after 9 generations, {} 0.99)"),
        (Shape(UNDECIDED), 7, (-0.3, -0.7, 0.1), None, "-30 % [-70, +10] after 8 generations, too few seeds to tell"),
    ],
)
def test_sentences(shape, last, change, falls, expected):
    row = Decline(
        ("incremental", 0.25), last, Estimate(change[0], change[1], change[2], 3), falls, shape, pd.DataFrame()
    )
    endings = {
        FALLING: "still falling (weight",
        PLATEAU: "at a plateau since generation ~12 (weight",
        NO_FALL: "no fall by 5 % or more",
        UNDECIDED: "too few generations or seeds to tell whether the fall goes on",
    }
    assert sentence(row) == f"incremental, fresh 0.25: diversity {expected.format(endings[shape.verdict])}"


def test_a_sentence_says_why_nothing_is_decided():
    falls = [table(curves)[lambda t: t["generation"] >= 0] for curves in ([[0.5, 0.3]], [[0.5, 0.3], [0.5, 0.49]])]
    one, two = (sentence(declines(metrics)[0]) for metrics in falls)
    assert one.endswith("diversity -40 % after 2 generations, one seed, too few for an interval")
    assert two.endswith("after 2 generations, both seeds agree, too few to tell")


@pytest.fixture(scope="module")
def run():
    cells = {("full", 0.0): to_floor(0.0, 30), ("full", 0.5): to_floor(0.6, 6), ("fresh", 1.0): flat}
    return pd.concat([table(simulate(f, 5, 50, 0.01, 1), *key) for key, f in cells.items()])


def test_every_group_gets_its_sentence(run):
    falls = declines(run.sort_values("generation", ascending=False, kind="stable"))
    first, second, control = map(sentence, falls)
    assert (
        first.startswith("full, fresh 0: diversity -8") and "after 50 generations, still falling (weight 0.9" in first
    )
    assert second.startswith("full, fresh 0.5: diversity -") and ", at a plateau since generation ~1" in second
    assert control.startswith("fresh, fresh 1: diversity ") and control.endswith(", no fall by 5 % or more")


def test_cells_that_ended_early_do_not_bend_the_curve(run):
    ended = run[(run["seed"] != 2) | (run["generation"] < 20)]
    assert [d.change.seeds for d in declines(ended)] == [4, 4, 4]
    assert [d.shape.verdict for d in declines(ended)] == [FALLING, PLATEAU, NO_FALL]


def test_a_plateau_refutes_that_fresh_data_does_not_stop_the_fall(run):
    finding = findings(run)[2]
    assert finding.verdict == NOT_SHOWN and "a plateau at φ = 0.5 (since generation ~" in finding.sentence
    falls = table(simulate(to_floor(0.0, 90), 5, 50, 0.01, 2), "full", 0.5)
    assert findings(pd.concat([run[run["fresh_ratio"] != 0.5], falls]))[2].verdict == SHOWN


def test_the_bottom_is_no_plateau_of_the_findings(run):
    bottom = table(simulate(to_floor(0.0, 4), 5, 50, 0.003, 2, 0.0), "full", 0.25)
    assert declines(bottom)[0].shape.verdict == PLATEAU and ", at the bottom since" in sentence(declines(bottom)[0])
    falls = [table(simulate(to_floor(0.0, tau), 5, 50, 0.003, 3, 0.0), "full", r) for tau, r in ((2, 0.0), (60, 0.5))]
    metrics = pd.concat([*falls, bottom, run[run["cycle"] == "fresh"]])
    assert findings(metrics)[2].verdict == SHOWN


def test_the_summary_has_onset_and_half_life(run):
    cells, groups = summary(run)
    first, second, control = groups.to_dict("records")
    assert first["onset_low"] <= first["onset"] <= first["onset_high"] and first["onset"] in (1, 2, 3)
    assert first["half_life_low"] <= 30 * math.log(2) <= first["half_life_high"]
    assert [row["half_life_censored"] for row in (first, second, control)] == [0, 5, 5]
    assert math.isnan(second["half_life"]) and math.isnan(control["onset"])
    assert cells["half_life"].notna().sum() == 5
    assert groups.dtypes[["onset", "onset_high", "half_life", "half_life_low"]].eq(np.float64).all()


def test_the_summary_says_how_long_before_the_onset_the_likelihoods_fall(run):
    looping = run["cycle"] != "fresh"
    late = 1 - 0.2 * (run["generation"] >= 9)
    metrics = run.assign(
        self_nll=1 - 0.5 * (looping & (run["generation"] >= 1)), first_model_nll=late.where(looping, 1.0)
    )
    first, second, control = summary(metrics).groups.to_dict("records")
    assert first["self_nll_onset"] == second["self_nll_onset"] == 1 and first["first_model_nll_onset"] == 9
    for row in (first, second):
        assert row["self_nll_lead"] == row["onset"] - 1 and row["first_model_nll_lead"] == row["onset"] - 9
    assert math.isnan(control["self_nll_lead"])
    without = summary(run).groups
    assert without[["self_nll_onset", "self_nll_lead", "first_model_nll_lead"]].isna().all(axis=None)
