import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from eval.statistics.intervals import (
    ANY,
    CHANGE,
    difference_interval,
    mean_draws,
    mean_interval,
    median_interval,
    quantile_interval,
    shared_seeds,
    sign_flip_p,
)


@pytest.mark.parametrize("seeds", [2, 3, 5, 25])
def test_intervals_are_student_t_and_welch(seeds):
    rng = np.random.default_rng(seeds)
    a, b = pd.Series(rng.normal(3, 1, seeds)), pd.Series(rng.normal(1, 5, 4), index=range(90, 94))
    ours = mean_interval(a)
    scipys = ttest_1samp(a, 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high))
    ours = difference_interval(a, b)
    scipys = ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (ours.low, ours.high, ours.seeds) == pytest.approx((scipys.low, scipys.high, min(seeds, 4)))


@pytest.mark.parametrize("seeds", [2, 3, 5, 25])
def test_the_mean_is_covered(seeds):
    covered = 0
    for i in range(500):
        _, low, high, *_ = mean_interval(np.random.default_rng([i, seeds]).normal(3, 1, seeds))
        assert low is not None and high is not None
        covered += low <= 3 <= high
    assert 0.925 <= covered / 500 <= 0.975


def test_pairs_take_out_what_a_seed_does_to_both():
    heights = np.array([0.1, 0.5, 0.9])
    a, b = pd.Series(heights - [0.01, 0.011, 0.012], [1, 2, 3]), pd.Series(heights, [1, 2, 3])
    paired, apart = difference_interval(a, b), difference_interval(a, b.set_axis([4, 5, 6]))
    assert paired.high is not None and paired.high < 0 and paired.agree
    assert apart.high is not None and apart.high > 0.5 and not apart.agree
    assert paired.mean == pytest.approx(apart.mean)


@pytest.mark.parametrize(
    ("a", "b", "common"),
    [
        ([1, 2, 3], [3, 1, 2], [1, 2, 3]),
        ([1, 2], [2, 1, 7, 8], [1, 2]),
        ([1, 2], [1, 2, 7, 8, 9], []),  # two of five would throw away three
        ([1], [1], [1]),
        ([1], [2], []),
    ],
)
def test_seeds_are_paired_if_most_are_shared(a, b, common):
    assert shared_seeds(pd.Index(a), pd.Index(b)).tolist() == common


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (None, None, None, 0, False)),
        ([None, float("nan")], (None, None, None, 0, False)),
        ([0.3], (0.3, None, None, 1, True)),
        ([-0.3, None], (-0.3, None, None, 1, True)),
        ([0.1, 0.1, 0.1], (0.1, 0.1, 0.1, 3, True)),
        ([0.0, 0.0], (0.0, 0.0, 0.0, 2, False)),
    ],
)
def test_degenerate_intervals_do_not_warn(values, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval(values) == expected


def test_groups_of_one_have_no_interval():
    one, three = pd.Series([1.0], [7]), pd.Series([1.0, 2.0, 4.0])
    assert difference_interval(one, three)[1:] == (None, None, 1, False)
    assert difference_interval(one, three).mean == pytest.approx(-4 / 3)
    assert difference_interval(one[:0], three).seeds == 0
    assert difference_interval(three * 0, three.set_axis([7, 8, 9]) * 0).low == 0  # nothing varies


def test_bounds_and_levels():
    wide, cut = mean_interval([-0.5, -0.9]), mean_interval([-0.5, -0.9], CHANGE)
    assert wide.low is not None and wide.low < -1 == cut.low and wide.high == cut.high
    strict = mean_interval([-0.5, -0.9], ANY, 0.99)
    assert strict.low is not None and strict.low < wide.low


def test_sign_flips_are_counted_exactly():
    x = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    flips = [abs(np.mean(x * signs)) >= abs(x.mean()) - 1e-12 for signs in itertools.product([1, -1], repeat=5)]
    assert sign_flip_p(x) == pytest.approx(np.mean(flips))
    assert sign_flip_p([0.1, 0.2, 0.3]) == pytest.approx(2 / 8)
    assert sign_flip_p([0.1]) is None
    p = [sign_flip_p(np.random.default_rng(i).normal(size=8)) for i in range(200)]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.09


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_draws_of_the_mean_are_its_interval(seeds):
    x_SN = np.random.default_rng(1).normal(0, 1, (seeds, 2)) @ [[1, 2], [0, 1]]
    draws_BN = mean_draws(x_SN, 40_000, np.random.default_rng(0))
    for values_S, draws_B in zip(x_SN.T, draws_BN.T, strict=True):
        expected = mean_interval(values_S)
        assert quantile_interval(draws_B) == pytest.approx((expected.low, expected.high), rel=0.1, abs=0.1)
    if seeds == 2:  # two seeds differ in one direction, and so do the draws
        assert abs(np.corrcoef(draws_BN.T)[0, 1]) == pytest.approx(1)


def test_the_median_is_within_the_range_of_five():
    assert median_interval(np.arange(4.0), np.arange(4.0)) is None
    assert median_interval(np.arange(5.0), np.arange(5.0)) == (0, 4)
    assert median_interval(np.arange(9.0)[::-1], np.arange(9.0) + 1) == (1, 8)  # 1 - 2 (1 + 9) / 2^9 = 96 %
    covered = 0
    for i in range(500):
        x = np.random.default_rng(i).exponential(size=7)
        low, high = median_interval(x, x) or (np.inf, np.inf)
        covered += low <= np.log(2) <= high
    assert covered / 500 >= 0.93
