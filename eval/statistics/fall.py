"""How diversity falls over the generations: by how much, whether the fall stops, and how groups compare.

These are the estimates that the list of falls, the summary's table and the findings share, so that no two sentences of
a report contradict each other.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eval.statistics.curves import GROUP, Key, curves, family, fresh_ratio, group_name, groups
from eval.statistics.intervals import (
    CHANGE,
    LEVEL,
    Estimate,
    difference_interval,
    mean_interval,
    shared_seeds,
    sign_flip_p,
)
from eval.statistics.trend import FALLING, NO_FALL, PLATEAU, SMALL, UNDECIDED, Shape, fall_shape

CLEAR = 0.02  # smallest relative change of diversity that counts as one
BOTTOM = 0.05  # of the start: below it nothing is left to fall, so a plateau there is no end of the fall


class Decline(NamedTuple):
    """The fall of one group, over the seeds that reached its last generation."""

    key: Key
    last: int  # generation
    change: Estimate  # relative, from generation 0 to the last
    falls: bool | None  # whether diversity clearly falls; False: surely by less than SMALL, if at all; None: undecided
    shape: Shape  # says more than UNDECIDED only where `falls` is decided, and the same
    curves: pd.DataFrame  # of diversity: one row per seed, one column per generation

    @property
    def bottom(self) -> bool:
        """Whether nothing is left to fall."""
        return self.change.mean is not None and self.change.mean <= BOTTOM - 1


class Comparison(NamedTuple):
    """Two fresh ratios in the last generation that both reached."""

    key: Key  # of the smaller fresh ratio
    other: Key
    generation: int
    difference: Estimate  # relative change of `other` minus that of `key`: positive if `other` keeps more
    p: float | None  # two-sided, by flipping the signs of the seeds' differences; None if they share no seeds


def record(comparison: Comparison) -> dict[str, Any]:
    """A comparison as a row of a table: the columns GROUP, `other` for the larger fresh ratio, and the estimate."""
    key, other, generation, difference, p = comparison
    return {
        **dict(zip(GROUP, key, strict=True)),
        "other": fresh_ratio(other),
        "generation": generation,
        **difference._asdict(),
        "p": p,
    }


def below(estimate: Estimate) -> bool | None:
    """Whether a change of diversity, or a difference of two, is below zero.

    True: by CLEAR or more, and the interval excludes zero. False: the interval excludes SMALL, so it is not below by
    what would matter. None: neither, or no interval.
    """
    mean, low, high = estimate[:3]
    if mean is None or low is None or high is None:
        return None
    if mean <= -CLEAR and high < 0:
        return True
    return False if low > -SMALL else None


def undecided(estimate: Estimate) -> str:
    """Why an estimate decides nothing."""
    if estimate.seeds < 2:
        return "one seed, too few for an interval"
    them = "both" if estimate.seeds == 2 else f"all {estimate.seeds}"
    return f"{them} seeds agree, too few to tell" if estimate.agree else "too few seeds to tell"


def _relative(table: pd.DataFrame, of: Callable[[np.ndarray], np.ndarray]) -> pd.Series:
    values_ST = table.to_numpy()
    begun_S = values_ST[:, 0] > 0
    return pd.Series(of(values_ST[begun_S]) / values_ST[begun_S, 0] - 1, index=table.index[begun_S])


def relative_changes(table: pd.DataFrame) -> pd.Series:
    """Relative change from the first to the last column, by seed; seeds that begin at 0 are left out."""
    return _relative(table, lambda values_ST: values_ST[:, -1])


def speeds(table: pd.DataFrame) -> pd.Series:
    """Mean relative change over the generations from 1, by seed: differs where two falls end at the same bottom."""
    return _relative(table, lambda values_ST: values_ST[:, 1:].mean(1))


def difference(
    a: pd.DataFrame, b: pd.DataFrame, measure: Callable[[pd.DataFrame], pd.Series], level: float = LEVEL
) -> Estimate:
    """The measure of the curves a minus that of b, over the generations that both reached."""
    generations = a.columns.intersection(b.columns)
    if len(generations) < 2:
        return Estimate(None, None, None, 0)
    return difference_interval(measure(a.loc[:, generations]), measure(b.loc[:, generations]), level)


def declines(metrics: pd.DataFrame) -> list[Decline]:
    """The fall of every group of a run, in the order of the table."""
    found = []
    for key in groups(metrics):
        table = curves(metrics, key)
        if table.empty:
            continue  # diversity is not finite
        change = mean_interval(relative_changes(table), CHANGE)
        shape = fall_shape(table.to_numpy())
        falls = below(change)
        if falls is None and shape.verdict == NO_FALL and change.seeds > 1:
            falls = False  # every generation together tells more than the last one alone
        if falls is False:
            shape = Shape(NO_FALL)
        elif falls is None or shape.verdict == NO_FALL:
            shape = Shape(UNDECIDED)
        found.append(Decline(key, int(table.columns[-1]), change, falls, shape, table))
    return found


def signed(value: float) -> str:
    """-0.683 as `-68`: whole percent with a sign."""
    number = f"{100 * value:+.0f}"
    return "0" if number in ("+0", "-0") else number


def sentence(decline: Decline) -> str:
    """`incremental, fresh 0.25: diversity -31 % [-35, -27] after 50 generations, still falling (weight 0.97)`.

    Weights are cut off, not rounded, and 0.99 is the highest that is named.
    """
    mean, low, high, *_ = decline.change
    verdict, weight, since = decline.shape
    interval = "" if low is None or high is None else f" [{signed(low)}, {signed(high)}]"
    change = "0 from the start" if mean is None else f"{signed(mean)} %{interval}"
    shown = f"(weight {min(int(100 * (weight or 0)) / 100, 0.99):.2f})"
    if decline.last == 0:
        end = "the first"
    elif verdict == NO_FALL:
        together = "" if below(decline.change) is False else " in all generations together"
        end = f"no fall by {100 * SMALL:g} % or more{together}"
    elif verdict == FALLING:
        end = f"still falling {shown}"
    elif verdict == PLATEAU:
        end = f"{'at the bottom' if decline.bottom else 'at a plateau'} since generation ~{since or 0:.0f} {shown}"
    elif decline.falls:
        end = "too few generations or seeds to tell whether the fall goes on"
    else:
        end = undecided(decline.change) if mean is not None else "nothing to fall"
    generations = f"{decline.last + 1} generation" + "s" * (decline.last > 0)
    return f"{group_name(decline.key)}: diversity {change} after {generations}, {end}"


def comparisons(metrics: pd.DataFrame) -> list[Comparison]:
    """Every pair of fresh ratios with the rest of the key in common, smaller one first.

    In pairs of seeds where they are shared. p-values are not corrected for their number.
    """
    tables = {key: curves(metrics, key) for key in sorted(groups(metrics), key=fresh_ratio)}
    order = list(dict.fromkeys(map(family, groups(metrics))))
    found = []
    for name in order:
        members = {key: table for key, table in tables.items() if family(key) == name}
        for (key, a), (other, b) in itertools.combinations(members.items(), 2):
            generations = a.columns.intersection(b.columns)
            if len(generations):
                mine, theirs = relative_changes(a[generations]), relative_changes(b[generations])
                seeds = shared_seeds(mine.index, theirs.index)
                p = sign_flip_p(theirs[seeds] - mine[seeds])
                found.append(Comparison(key, other, int(generations[-1]), difference_interval(theirs, mine), p))
    return found
