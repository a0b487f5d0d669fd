"""How diversity falls over the generations: by how much, whether the fall stops, and how fresh ratios compare."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import permutation_test
from scipy.stats import t as student

from eval.statistics.onset import curves
from eval.statistics.summary import GROUP, Estimate, mean_interval
from eval.statistics.trend import FALLING, NO_FALL, PLATEAU, Shape, fall_shape

MANY = 20  # seeds from which a bootstrap covers what it says
EXACT = 16  # seeds up to which all sign flips are counted


class Decline(NamedTuple):
    """The fall of one (cycle, fresh ratio), over the seeds that reached its last generation."""

    cycle: str
    fresh_ratio: float
    generations: int  # trained models: the last generation is one less
    change: Estimate  # relative, from generation 0 to the last
    shape: Shape


class Comparison(NamedTuple):
    """Two fresh ratios of one cycle, on the seeds that they share and in the last generation that both reached."""

    cycle: str
    fresh_ratio: float
    other: float
    generation: int
    difference: Estimate  # relative change at `other` minus that at `fresh_ratio`: positive if `other` keeps more
    p: float | None  # two-sided, by flipping the signs of the seeds' differences


def seed_interval(values: Iterable[float | None]) -> Estimate:
    """Mean over seeds with a 95 % interval: Student's t below MANY seeds, from there on the percentile bootstrap.

    In simulations of relative changes (noise of 2 to 3 %; also skewed ones) the percentile and the BCa bootstrap both
    cover 47 % with 2 seeds, 70 % with 3, 80 % with 5, 90 % with 10 and 94 % with 20; t covers 92 to 96 % throughout.
    """
    x = np.array([v for v in values if v is not None and np.isfinite(v)], np.float64)
    if len(x) < 2 or len(x) >= MANY or np.ptp(x) == 0:
        return mean_interval(x)
    half = student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return Estimate(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x))


def relative_changes(table: pd.DataFrame) -> pd.Series:
    """Relative change from the first to the last column, by seed; seeds that begin at 0 are left out."""
    table = table[table.iloc[:, 0] > 0] if len(table.columns) else table
    return table.iloc[:, -1] / table.iloc[:, 0] - 1


def declines(metrics: pd.DataFrame) -> list[Decline]:
    """The fall of every (cycle, fresh ratio) of a run, in the order of the table."""
    found = []
    for cycle, ratio in metrics[GROUP].drop_duplicates().itertuples(index=False):
        table = curves(metrics, cycle, ratio)
        if table.empty:
            continue  # diversity is not finite
        mean, low, high, seeds = seed_interval(relative_changes(table))
        change = Estimate(mean, None if low is None else max(low, -1.0), high, seeds)  # nothing falls by more than all
        generations = int(table.columns[-1]) + 1
        found.append(Decline(str(cycle), float(ratio), generations, change, fall_shape(table.to_numpy())))
    return found


def _signed(value: float) -> str:
    number = f"{100 * value:+.0f}"
    return "0" if number in ("+0", "-0") else number


def sentence(decline: Decline) -> str:
    """`incremental, fresh 0.25: diversity -31 % [-35, -27] after 50 generations, still falling (weight 0.97)`.

    Weights are cut off, not rounded, and 0.99 is the highest that is named.
    """
    mean, low, high, _ = decline.change
    verdict, weight, since = decline.shape
    interval = "" if low is None or high is None else f" [{_signed(low)}, {_signed(high)}]"
    change = "0 from the start" if mean is None else f"{_signed(mean)} %{interval}"
    shown = f"(weight {min(int(100 * (weight or 0)) / 100, 0.99):.2f})"
    end = {
        NO_FALL: "no fall",
        FALLING: f"still falling {shown}",
        PLATEAU: f"at a plateau since generation ~{since or 0:.0f} {shown}",
    }.get(verdict, "too few generations to tell")
    name = f"{decline.cycle}, fresh {decline.fresh_ratio:g}"
    generations = f"{decline.generations} generation" + "s" * (decline.generations != 1)
    return f"{name}: diversity {change} after {generations}, {end}"


def sentences(metrics: pd.DataFrame) -> list[str]:
    """One sentence per (cycle, fresh ratio), in the order of the table."""
    return [sentence(decline) for decline in declines(metrics)]


def sign_flip_p(differences: Iterable[float]) -> float | None:
    """Two-sided p-value of a mean of zero under flips of the signs of paired differences; None for less than two.

    Exact up to EXACT pairs: the smallest possible is 2 / 2^n, so five seeds cannot get below 0.0625.
    """
    x = np.array(list(differences), np.float64)
    if len(x) < 2:
        return None
    test = permutation_test(
        (x,), np.mean, permutation_type="samples", n_resamples=2**EXACT, vectorized=True, rng=np.random.default_rng(0)
    )
    return float(test.pvalue)


def comparisons(metrics: pd.DataFrame) -> list[Comparison]:
    """Every pair of fresh ratios of every cycle, smaller one first; p-values are not corrected for their number."""
    found = []
    for cycle, group in metrics.groupby("cycle", sort=False):
        tables = {ratio: curves(metrics, str(cycle), ratio) for ratio in sorted(group["fresh_ratio"].unique())}
        for (ratio, a), (other, b) in itertools.combinations(tables.items(), 2):
            generations = a.columns.intersection(b.columns)
            if not len(generations):
                continue
            difference = (relative_changes(b[generations]) - relative_changes(a[generations])).dropna()
            estimate = seed_interval(difference)
            found.append(
                Comparison(
                    str(cycle), float(ratio), float(other), int(generations[-1]), estimate, sign_flip_p(difference)
                )
            )
    return found
