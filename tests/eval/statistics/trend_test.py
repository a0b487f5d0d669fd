import warnings
from collections import Counter

import numpy as np
import pytest

from eval.statistics.trend import DECIDED, FALLING, NO_FALL, PLATEAU, UNDECIDED, fall_shape
from tests.eval.statistics.fall_test import NOISES, flat, linear, simulate, to_floor

PLATEAUS = {  # curve, generation by which 95 % of its fall are done
    "to 0.7": (to_floor(0.7, 6), 18),
    "to 0.5": (to_floor(0.5, 8), 24),
    "to nothing": (to_floor(0.0, 5), 15),
    "straight": (lambda t: 1 - 0.3 * np.minimum(t, 15) / 15, 15),
    "slow start": (lambda t: 0.5 + 0.5 * np.exp(-((t / 12) ** 2)), 21),
}
FALLS = {
    "exponential": to_floor(0.0, 130),
    "far": to_floor(0.0, 44),
    "straight": linear(0.2),
    "power law": lambda t: (1 + t / 5) ** -0.2,
    "two speeds": lambda t: 0.8 + 0.2 * np.exp(-t / 5) - 0.2 * t / 49,
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", PLATEAUS)
def test_a_planted_plateau_is_found(name, noise):
    curve, since = PLATEAUS[name]
    found = [fall_shape(simulate(curve, 5, 50, noise, i)) for i in range(100)]
    plateaus = [s for s in found if s.verdict == PLATEAU]
    assert not any(s.verdict == FALLING for s in found)
    assert sum(0.6 * since <= (s.since or 0) <= 1.6 * since for s in plateaus) >= (95 if noise < 0.02 else 75)
    assert all(DECIDED <= (s.weight or 0) <= 1 for s in plateaus)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", FALLS)
def test_a_planted_fall_that_goes_on_is_found(name, noise):
    found = [fall_shape(simulate(FALLS[name], 5, 50, noise, i)) for i in range(100)]
    assert sum(s.verdict == FALLING for s in found) >= (95 if noise < 0.02 else 60)
    assert not any(s.verdict == PLATEAU for s in found)


@pytest.mark.parametrize("noise", NOISES)
def test_a_flat_curve_does_not_fall(noise):
    found = Counter(fall_shape(simulate(flat, 5, 50, noise, i)).verdict for i in range(100))
    assert found[NO_FALL] >= 95


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize(
    ("curve", "truths"),
    [
        (to_floor(0.7, 1.2), {PLATEAU}),
        (to_floor(0.4, 1.0), {PLATEAU}),
        (linear(0.12, 7), {FALLING}),
        (linear(0.40, 7), {FALLING}),
        (linear(0.03, 7), {FALLING, NO_FALL}),  # less than what counts as a fall
        (flat, {NO_FALL}),
    ],
    ids=["small plateau", "plateau", "small fall", "fall", "hardly a fall", "flat"],
)
def test_eight_generations_are_not_overrated(seeds, curve, truths):
    for noise in NOISES:
        found = Counter(fall_shape(simulate(curve, seeds, 8, noise, i)).verdict for i in range(100))
        assert sum(n for verdict, n in found.items() if verdict not in truths | {UNDECIDED}) <= 5


def test_eight_generations_of_a_steep_fall_are_enough():
    found = Counter(fall_shape(simulate(to_floor(0.0, 3.3), 3, 8, 0.01, i)).verdict for i in range(100))
    assert found[FALLING] >= 90


def test_six_generations_tell_of_no_shape():
    assert all(fall_shape(simulate(to_floor(0.0, 3), 3, 6, 0.01, i)).verdict == UNDECIDED for i in range(20))


def test_one_seed_of_eight_generations_is_rarely_enough():
    """AIC without its correction for so few generations claims something in more than half."""
    found = Counter(fall_shape(simulate(to_floor(0.7, 2), 1, 8, 0.01, i)).verdict for i in range(100))
    assert found[UNDECIDED] >= 60 and found[PLATEAU] == 0


def test_a_small_fall_beyond_doubt_is_not_denied():
    found = Counter(fall_shape(simulate(linear(0.03, 5), 3, 6, 0.003, i, 0.0)).verdict for i in range(100))
    assert found[NO_FALL] <= 5


@pytest.mark.parametrize("noise", NOISES)
def test_what_lies_between_the_claims_makes_none(noise):
    found = Counter(fall_shape(simulate(to_floor(0.5, 12.5), 5, 50, noise, i)).verdict for i in range(100))
    assert found[UNDECIDED] >= 80


@pytest.mark.parametrize("walk", [0.01, 0.02])
def test_seeds_that_wander_are_not_taken_for_a_shape(walk):
    """Generations of one seed are not independent: a walk's drift is no fall, however smooth it looks."""
    found = Counter(fall_shape(simulate(flat, 5, 50, 0.001, i, walk)).verdict for i in range(100))
    assert found[PLATEAU] + found[FALLING] <= 5


def test_drift_that_all_seeds_share_is_no_evidence():
    """Where the mean leaves every shape by more than the seeds differ, the seeds' agreement says nothing."""
    found: Counter[str] = Counter()
    for i in range(100):
        shared = np.cumsum(0.55 * 0.01 * np.random.default_rng([7, i]).standard_normal(50))
        found[fall_shape(simulate(flat, 5, 50, 0.003, i, 0.0) + shared).verdict] += 1
    assert found[PLATEAU] + found[FALLING] <= 5


@pytest.mark.parametrize(
    ("curves", "verdict"),
    [
        ([[0.5, 0.4, 0.3, 0.2]] * 3, UNDECIDED),
        ([], UNDECIDED),
        ([[0.0] * 30] * 2, NO_FALL),
        ([[0.5] * 30] * 2, NO_FALL),
        ([0.5 - 0.01 * np.arange(30)] * 2, FALLING),
        ([0.5 + 0.01 * np.arange(30)] * 2, NO_FALL),
        ([[0.5, *[0.0] * 29]], PLATEAU),
    ],
    ids=["four generations", "none", "zero", "constant", "straight", "rising", "at once"],
)
def test_degenerate_curves(curves, verdict):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fall_shape(curves).verdict == verdict
