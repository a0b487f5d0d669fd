"""When diversity falls: the onset against the control, half-lives of cells, and their median over seeds.

Curves are smoothed before a threshold is looked for, by the best curve that never rises (isotonic regression): the
first generation that noise alone takes below it would be too early, and would be found in the control as well. A curve
that never rises is left as it is; one that dips and recovers has not begun to fall.

The axes: S seeds, T generations, B resamples.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.stats import CensoredData, ecdf, norm
from scipy.stats import t as student

DIVERSITY = "levenshtein_diversity"
ONSET = 0.95  # of the control's diversity
RESAMPLES = 1000


class Onset(NamedTuple):
    """First generation below ONSET of the control; None if not reached. `high` None: it may never be."""

    generation: int | None = None
    low: int | None = None
    high: int | None = None


class Median(NamedTuple):
    """Kaplan-Meier median of event times; None if not reached. `censored`: cells that ended before the event."""

    median: float | None
    low: float | None
    high: float | None
    events: int
    censored: int


def curves(metrics: pd.DataFrame, cycle: str, ratio: float, column: str = DIVERSITY) -> pd.DataFrame:
    """One row per seed, one column per generation, of the cells that reached the group's last generation."""
    group = metrics[(metrics["cycle"] == cycle) & (metrics["fresh_ratio"] == ratio)]
    return group.pivot_table(index="seed", columns="generation", values=column).astype(np.float64).dropna()


def control(metrics: pd.DataFrame, cycle: str) -> pd.DataFrame | None:
    """The curves that a cycle is compared with: those of `fresh`, else of φ = 1 in the cycle itself, else None."""
    fresh = metrics.loc[metrics["cycle"] == "fresh", "fresh_ratio"]
    found = curves(metrics, "fresh", fresh.iloc[0]) if len(fresh) else curves(metrics, cycle, 1.0)
    return found if len(found) else None


def _never_rising(values_T: np.ndarray) -> np.ndarray:
    return isotonic_regression(values_T, increasing=False).x


def _interval(statistic: Callable[[np.ndarray], float], S: int, rng: np.random.Generator) -> tuple[float, float]:
    """95 % percentile bootstrap interval over seeds, of a statistic of their counts in a resample; it may be infinite.

    The percentiles are moved outwards as far as Student's t lies outside the normal distribution (Hesterberg 2015,
    "What Teachers Should Know About the Bootstrap", 3.3): without that, five seeds cover 80 % and not 95 %. No
    resampling gets beyond the seeds' own range: three cover about 75 %, two 50 %.
    """
    counts_BS = rng.multinomial(S, np.full(S, 1 / S), RESAMPLES)
    distinct, inverse = np.unique(counts_BS, axis=0, return_inverse=True)
    values_B = np.array([statistic(counts) for counts in distinct])[inverse.ravel()]
    tail = norm.cdf(-student.ppf(0.975, S - 1) * np.sqrt(S / (S - 1)))
    low, high = np.quantile(values_B, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def onset(curves_ST: np.ndarray, control_ST: np.ndarray, paired: bool) -> Onset:
    """First generation in which the mean over seeds is below ONSET of the control's, with a 95 % interval over seeds.

    `paired`: row by row of one seed, resampled together.
    """
    S = len(curves_ST)

    def first(counts_S: np.ndarray, control_counts: np.ndarray) -> float:
        reference_T = control_counts @ control_ST / control_counts.sum()
        mean_T = counts_S @ curves_ST / counts_S.sum()
        ratio_T = np.divide(mean_T, reference_T, out=np.ones_like(mean_T), where=reference_T > 0)
        below = np.flatnonzero(_never_rising(ratio_T) < ONSET)
        return float(below[0]) if len(below) else np.inf

    found = first(np.ones(S), np.ones(len(control_ST)))
    low = high = None
    if S > 1 and paired:
        low, high = _interval(lambda n: first(n, n), S, np.random.default_rng(0))
    elif S > 1:
        n = len(control_ST)
        rng = np.random.default_rng(1)
        low, high = _interval(lambda c: first(c, rng.multinomial(n, np.full(n, 1 / n))), S, np.random.default_rng(0))
    return Onset(*(None if x is None or np.isinf(x) else int(x) for x in (found, low, high)))


def group_onset(metrics: pd.DataFrame, cycle: str, ratio: float) -> Onset:
    """The onset of one (cycle, fresh ratio), seed by seed if two or more are in the control too."""
    own, reference = curves(metrics, cycle, ratio), control(metrics, cycle)
    if reference is None or own.empty or cycle == "fresh" or (ratio == 1 and not (metrics["cycle"] == "fresh").any()):
        return Onset()
    generations = own.columns.intersection(reference.columns)
    seeds = own.index.intersection(reference.index)
    paired = len(seeds) > 1
    if paired:
        own, reference = own.loc[seeds], reference.loc[seeds]
    found = onset(own[generations].to_numpy(), reference[generations].to_numpy(), paired)
    return Onset(*(None if i is None else int(generations[i]) for i in found))


def half_life(diversity: Sequence[float] | np.ndarray | pd.Series) -> float | None:
    """Generations until one cell's diversity is half of generation 0's, between generations by a straight line.

    None where it is not reached, or where there was no diversity to begin with.
    """
    values_T = np.asarray(diversity, np.float64)
    half = values_T[0] / 2
    smooth_T = _never_rising(values_T)
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
    would. The interval is a bootstrap over seeds; None as its `high`: more than half of the cells may never get there.
    """
    happened_S = np.array([t is not None and bool(np.isfinite(t)) for t in times], bool)
    times_S = np.array([t if h else end for t, h, end in zip(times, happened_S, ends, strict=True)], np.float64)
    S = len(times_S)
    median = low = high = np.inf
    if S:
        median = _kaplan_meier_median(times_S, happened_S)
    if S > 1:
        low, high = _interval(
            lambda n: _kaplan_meier_median(np.repeat(times_S, n), np.repeat(happened_S, n)), S, np.random.default_rng(0)
        )
    limits = (None if np.isinf(x) else float(x) for x in (median, low, high))
    events = int(happened_S.sum())
    return Median(next(limits), next(limits), next(limits), events, S - events)
