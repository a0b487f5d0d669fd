"""When diversity falls: the onset against the control, half-lives of cells, and their median over seeds.

Curves are smoothed before a threshold is looked for, by the best curve that never rises (isotonic regression): the
first generation that noise alone takes below it would be too early, and would be found in the control as well. A curve
that never rises is left as it is; one that dips and recovers has not begun to fall.

The axes: S seeds, T generations, B draws.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from eval.statistics.curves import DIVERSITY, Key, control_of, curves
from eval.statistics.intervals import mean_draws, median_interval, quantile_interval, shared_seeds

ONSET = 0.95  # of the control's diversity
DRAWS = 2000


class Onset(NamedTuple):
    """First generation below ONSET of the control; None if not reached. `high` None: it may never be."""

    generation: int | None = None
    low: int | None = None
    high: int | None = None


class Median(NamedTuple):
    """Kaplan-Meier median of event times; None if not reached. `censored`: cells that ended before the event.

    `low` None: too few cells for an interval, or not even that is reached. `high` None: that, or it may never be.
    """

    median: float | None
    low: float | None
    high: float | None
    events: int
    censored: int


def _first_below(curves_BT: np.ndarray, control_BT: np.ndarray) -> np.ndarray:
    """First generation in which the smoothed ratio is below ONSET, for every curve; infinite where it never is.

    The best curve that never rises is below a threshold from the last maximum of the cumulative sums of
    (ratio - threshold) on: from there every mean up to any later generation is below it, before there is one that is
    not (the min-max formula of isotonic regression). So nothing needs to be fitted.
    """
    T = curves_BT.shape[1]
    ratio_BT = np.divide(curves_BT, control_BT, out=np.ones_like(curves_BT), where=control_BT > 0)
    sums_BT = np.cumsum(np.pad(ratio_BT - ONSET, ((0, 0), (1, 0))), 1)
    first_B = T - np.argmax(sums_BT[:, ::-1], 1)
    return np.where(first_B == T, np.inf, first_B)


def onset(curves_ST: np.ndarray, control_ST: np.ndarray, paired: bool) -> Onset:
    """First generation in which the mean over seeds is below ONSET of the control's, with a 95 % interval over seeds.

    `paired`: row by row of one seed, which are drawn together; else curves and control are drawn apart, each anew.
    """
    T = curves_ST.shape[1]
    found = low = high = _first_below(curves_ST.mean(0)[None], control_ST.mean(0)[None])[0]
    if min(len(curves_ST), len(control_ST)) < 2:
        low = high = np.inf
    else:
        rng = np.random.default_rng(0)
        if paired:
            both_BT = mean_draws(np.hstack([curves_ST, control_ST]), DRAWS, rng)
            low, high = quantile_interval(_first_below(both_BT[:, :T], both_BT[:, T:]))
        else:
            draws_BT, control_BT = (mean_draws(x_ST, DRAWS, rng) for x_ST in (curves_ST, control_ST))
            low, high = quantile_interval(_first_below(draws_BT, control_BT))
    return Onset(*(None if np.isinf(x) else int(x) for x in (found, low, high)))


def group_onset(metrics: pd.DataFrame, key: Key, column: str = DIVERSITY) -> Onset:
    """The onset of one group against its control, seed by seed where they share their seeds; of diversity, or of the
    fall of another column."""
    other = control_of(metrics, key)
    if other is None:
        return Onset()
    own, reference = curves(metrics, key, column), curves(metrics, other, column)
    if own.empty or reference.empty:
        return Onset()
    generations = own.columns.intersection(reference.columns)
    seeds = shared_seeds(own.index, reference.index)
    if len(seeds):
        own, reference = own.loc[seeds], reference.loc[seeds]
    found = onset(own[generations].to_numpy(), reference[generations].to_numpy(), len(seeds) > 0)
    return Onset(*(None if i is None else int(generations[i]) for i in found))


def half_life(diversity: Sequence[float] | np.ndarray | pd.Series) -> float | None:
    """Generations until one cell's diversity is half of generation 0's, between generations by a straight line.

    None where it is not reached, or where there was no diversity to begin with.
    """
    from scipy.optimize import isotonic_regression

    values_T = np.asarray(diversity, np.float64)
    half = values_T[0] / 2
    smooth_T = isotonic_regression(values_T, increasing=False).x
    below = np.flatnonzero(smooth_T <= half)
    if half <= 0 or not len(below):
        return None
    i = below[0]
    if i == 0:
        return 0.0
    return float(i - (half - smooth_T[i]) / (smooth_T[i - 1] - smooth_T[i]))


def _kaplan_meier_median(times_S: np.ndarray, happened_S: np.ndarray) -> float:
    if happened_S.all():
        return float(np.median(times_S))
    if not happened_S.any():
        return np.inf
    from scipy.stats import CensoredData, ecdf

    sf = ecdf(CensoredData(uncensored=times_S[happened_S], right=times_S[~happened_S])).sf
    reached = np.flatnonzero(sf.probabilities <= 0.5 + 1e-9)
    if not len(reached):
        return np.inf
    i = reached[0]
    if sf.probabilities[i] > 0.5 - 1e-9:  # exactly half: up to the next event, as the median of an even number is
        later = [t for t in sf.quantiles[i + 1 :] if t in times_S[happened_S]]
        return float((sf.quantiles[i] + later[0]) / 2) if later else float(sf.quantiles[i])
    return float(sf.quantiles[i])


def median_time(times: Sequence[float | None], ends: Sequence[float]) -> Median:
    """Median over cells of the time of an event, where some ended (at `ends`) before it happened (None).

    Kaplan-Meier: no shape of the curve is assumed and nothing is said beyond what was seen, as a fitted exponential
    would. The interval is `median_interval`, for which a cell that ended may have its event at once or never; None as
    its `high`: more than half of the cells may never get there.
    """
    happened_S = np.array([t is not None and bool(np.isfinite(t)) for t in times], bool)
    times_S = np.array([t if h else end for t, h, end in zip(times, happened_S, ends, strict=True)], np.float64)
    median = _kaplan_meier_median(times_S, happened_S) if len(times_S) else np.inf
    low, high = median_interval(times_S, np.where(happened_S, times_S, np.inf)) or (np.inf, np.inf)
    if not happened_S.any():
        low = np.inf  # nothing happened: no event that the lower end could be
    median_low_high = [None if np.isinf(x) else float(x) for x in (median, low, high)]
    events = int(happened_S.sum())
    return Median(median_low_high[0], median_low_high[1], median_low_high[2], events, len(times_S) - events)
