"""How sure a figure is: the one interval policy of page, terminal, tables and findings.

Seeds are the independent repetitions of a run, so every interval is over seeds, and every one is Student's t, at any
number of seeds: `mean_interval` of one group, `difference_interval` of two (in pairs where they share their seeds, else
Welch's), and `mean_draws` where a figure is read off a whole mean curve. docs/statistics.md has the simulation behind
the choice: t covers 95 % with 2 to 20 seeds, of equal noise or not; the percentile bootstrap 51 % with two seeds and
83 % with five; a variance pooled over groups and generations as little as 71 % where groups differ in noise, as they do
when one of them collapses. The median of times needs no shape at all: `median_interval`.

The axes: S seeds, N numbers of a seed, B draws.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

LEVEL = 0.95
EXACT = 16  # seeds up to which all sign flips are counted
ANY = (-math.inf, math.inf)
FRACTION = (0.0, 1.0)
CHANGE = (-1.0, math.inf)  # of something that is never negative: it loses at most all of it
FROM_ZERO = (0.0, math.inf)


class Estimate(NamedTuple):
    """A mean over seeds with its 95 % interval.

    `low` and `high` are None for fewer than two seeds. `seeds`: how many, or how many pairs; of two groups without
    pairs the fewer. `agree`: no seed has another sign than the mean (of two groups: they do not overlap).
    """

    mean: float | None
    low: float | None
    high: float | None
    seeds: int
    agree: bool = False


def _estimate(mean: float, half: float | None, seeds: int, agree: bool, bounds: tuple[float, float]) -> Estimate:
    if half is None:
        return Estimate(mean, None, None, seeds, agree)
    return Estimate(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]), seeds, agree)


def _quantile(level: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def mean_interval(values: Iterable[float | None], bounds: tuple[float, float] = ANY, level: float = LEVEL) -> Estimate:
    """Mean over seeds with Student's t interval, cut at the `bounds` of what is possible; None and NaN are left out."""
    x = np.array([v for v in values if v is not None and np.isfinite(v)], np.float64)
    n = len(x)
    if n == 0:
        return Estimate(None, None, None, 0)
    mean = float(x.mean()) if np.ptp(x) else float(x[0])
    half = _quantile(level, n - 1) * float(x.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return _estimate(mean, 0.0 if half is not None and not np.ptp(x) else half, n, bool((x * mean > 0).all()), bounds)


def shared_seeds(a: pd.Index, b: pd.Index) -> pd.Index:
    """The seeds by which two groups are compared in pairs; empty if they are to be compared without.

    Groups of equal seed share their random numbers, so pairs take out what a seed does to both. They are formed if at
    least half of either group has a partner: of five seeds against five, two pairs would throw away too much.
    """
    common = a.intersection(b)
    return common if len(common) and 2 * len(common) >= max(len(a), len(b)) else common[:0]


def difference_interval(a: pd.Series, b: pd.Series, level: float = LEVEL) -> Estimate:
    """Mean of a minus mean of b, both indexed by seed; in pairs by `shared_seeds`, else by Welch's t interval."""
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if len(seeds := shared_seeds(a.index, b.index)):
        return mean_interval(a[seeds] - b[seeds], level=level)
    n = min(len(a), len(b))
    if n == 0:
        return Estimate(None, None, None, 0)
    mean = float(a.mean() - b.mean())
    agree = bool(a.max() < b.min() or b.max() < a.min())
    if n == 1:
        return _estimate(mean, None, 1, agree, ANY)
    parts = np.array([x.var(ddof=1) / len(x) for x in (a, b)])
    error = float(parts.sum())
    if error == 0:
        return _estimate(mean, 0.0, n, agree, ANY)
    freedom = error**2 / float((parts**2 / [len(a) - 1, len(b) - 1]).sum())
    return _estimate(mean, _quantile(level, freedom) * math.sqrt(error), n, agree, ANY)


def sign_flip_p(differences: Iterable[float]) -> float | None:
    """Two-sided p-value of a mean of zero under flips of the signs of paired differences; None for less than two.

    Exact up to EXACT pairs: the smallest possible is 2 / 2^n, so five seeds cannot get below 0.0625.
    """
    x = np.array(list(differences), np.float64)
    if len(x) < 2:
        return None
    from scipy.stats import permutation_test

    test = permutation_test(
        (x,), np.mean, permutation_type="samples", n_resamples=2**EXACT, vectorized=True, rng=np.random.default_rng(0)
    )
    return float(test.pvalue)


def mean_draws(values_SN: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Curves that the true mean may be, float64_BN: each number of them is spread as Student's t interval says.

    A draw moves the mean by a random mixture of the seeds' deviations from it, so that numbers of one seed stay as
    correlated as they are. Quantiles of a figure of these curves are its interval: for the mean itself they are
    `mean_interval`. Needs two seeds.
    """
    S = len(values_SN)
    mean_N = values_SN.mean(0)
    mixture_BS = rng.standard_normal((draws, S)) / math.sqrt(S * (S - 1))
    tails_B = np.sqrt((S - 1) / rng.chisquare(S - 1, draws))
    return mean_N + tails_B[:, None] * (mixture_BS @ (values_SN - mean_N))


def quantile_interval(values_B: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a figure from its draws, which may be infinite."""
    low, high = np.quantile(values_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return float(low), float(high)


def median_interval(low_S: np.ndarray, high_S: np.ndarray) -> tuple[float, float] | None:
    """Between which of the sorted values their true median is, with at least 93 % certainty; None below five values.

    Exact for any distribution: n values are all on one side of it with probability 2 / 2^n. So 2, 3 and 4 seeds cannot
    tell, and five say their range (93.75 %). `low_S` and `high_S` are equal, or say how far a value is known.
    """
    S = len(low_S)
    tails = [sum(math.comb(S, j) for j in range(k + 1)) / 2 ** (S - 1) for k in range(S // 2)]
    if not (allowed := [k for k, tail in enumerate(tails) if tail <= 0.07]):
        return None
    k = allowed[-1]
    return float(np.sort(low_S)[k]), float(np.sort(high_S)[S - 1 - k])
