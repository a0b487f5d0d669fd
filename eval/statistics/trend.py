"""Does a curve's fall stop or go on? The shapes of eval/statistics/shapes.py, weighed against each other.

What a shape claims is read off the shape itself: how much of the fall from generation 0 to the last one lies in the
last third of the generations. At most PLATEAU_SHARE of it says *plateau*, at least FALLING_SHARE says *still falling*;
what lies between says neither, so that the two claims differ by something that a run can show.

A plateau is a share of the *whole fall*, not of what is left: (1 + t)^-0.6 has 3 % of its fall in the last third of 50
generations, and is at a plateau, though it loses 21 % of what is left there.

docs/statistics.md has the error rates, which tests/stress/verdicts.py measures.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from eval.statistics.shapes import candidates, fit

NO_FALL, PLATEAU, FALLING, UNDECIDED = "no fall", "plateau", "falling", "undecided"
PLATEAU_SHARE, FALLING_SHARE = 0.04, 0.08  # of the whole fall, in the last third
SEEN = 1.5  # factor by which the last third may differ from what is claimed of it
OFF = 0.1  # of the whole fall: how far the last third may lie from the winning shape
SMALL = 0.05  # of the start: a fall that is surely smaller is none
DECIDED = 0.9  # smallest Akaike weight of a claim, against the other claim
BETWEEN = 0.98  # and against what lies between them: its curves are the ones that are told from a claim the least well
FEWEST = 5  # generations to tell that nothing falls; the other claims need 7


class Shape(NamedTuple):
    """What a fall does at the end: NO_FALL, PLATEAU, FALLING or UNDECIDED; the Akaike weight of plateau or falling.

    `since`: the generation from which a plateau holds, by which 95 % of the fall are done.
    """

    verdict: str
    weight: float | None = None
    since: float | None = None


def _looks_like(curve_T: np.ndarray, h_T: np.ndarray, fall: float, verdict: str) -> bool:
    """Whether the last third of the curve does what the winning shape claims, when no shape is assumed."""
    t = np.arange(len(curve_T))
    end = t >= t[-1] * 2 / 3
    rest_T = curve_T + fall * h_T
    if abs(rest_T[end].mean() - rest_T.mean()) > OFF * fall:
        return False
    share = -np.polyfit(t[end], curve_T[end], 1)[0] * t[-1] / 3 / fall
    return share <= SEEN * PLATEAU_SHARE if verdict == PLATEAU else share >= FALLING_SHARE / SEEN


def fall_shape(curves: Iterable[Iterable[float]]) -> Shape:
    """Whether the curves of several seeds (each from generation 0 on, equally long) fall, and stop or go on falling.

    The seeds share one shape. Within a seed noise is correlated: independent noise plus a random walk, whose sizes are
    estimated from the seeds' deviations from their mean and from the mean's from the fit. So a seed is one curve, not
    T independent numbers, and the sample size of AICc is the number of generations, not seeds times generations. Where
    the mean curve fits worse than the seeds' spread explains, all evidence is divided by that ratio (QAICc: Burnham
    and Anderson 2002, 2.5), since then no shape is quite right.

    The weight compares the best shapes of the two claims. The winner must beat what lies between by more, which pays
    for no more parameters than the winner (with few generations AICc would keep it out of the running). And the last
    third must look like the winner without any shape: a straight line through it has at most SEEN times the share of a
    plateau (or at least that part of a fall's), and it does not lie off the winner. Else nothing is claimed.
    """
    curves_ST = np.array([list(curve) for curve in curves], np.float64)
    T = curves_ST.shape[1] if curves_ST.ndim == 2 else 0
    if T < FEWEST:
        return Shape(UNDECIDED)
    start = curves_ST[:, 0].mean()
    if start <= 0:
        return Shape(NO_FALL if curves_ST.mean() >= start else UNDECIDED)
    shapes, fits = candidates(T), fit(curves_ST)
    parameters_C = np.append(shapes.parameters_C, 1) + 2  # noise and walk
    dispersion = fits.dispersion_C[fits.deviance_C.argmin()]
    with np.errstate(divide="ignore"):
        small_C = np.where(parameters_C + 1 < T, 2 * parameters_C * T / (T - parameters_C - 1.0), np.inf)
    criterion_C = fits.deviance_C / dispersion + small_C  # QAICc
    constant, criterion_C = criterion_C[-1], np.where(fits.fall_C > 0, criterion_C, np.inf)[:-1]
    needed, more = (2 * np.log(weight / (1 - weight)) for weight in (DECIDED, BETWEEN))
    if not criterion_C.min() < constant - needed:
        linear = 0  # the first candidate
        fall, error = fits.fall_C[linear], np.sqrt(dispersion) * fits.error_C[linear]
        return Shape(NO_FALL if fall + 1.645 * error < SMALL * start and fall < 2.5 * error else UNDECIDED)
    stays_C, falls_C = shapes.share_C <= PLATEAU_SHARE, shapes.share_C >= FALLING_SHARE
    plateau, falling = (float(criterion_C[which_C].min(initial=np.inf)) for which_C in (stays_C, falls_C))
    if np.inf in (plateau, falling):
        return Shape(UNDECIDED)  # fewer than 7 generations: AICc admits no shape that stops, so there is no contest
    verdict, claims_C = (PLATEAU, stays_C) if plateau < falling else (FALLING, falls_C)
    weight = float(1 / (1 + np.exp(-abs(plateau - falling) / 2)))
    winner = np.where(claims_C, criterion_C, np.inf).argmin()
    between_C = ~stays_C & ~falls_C & (fits.fall_C[:-1] > 0)
    between = fits.deviance_C[:-1][between_C].min(initial=np.inf) / dispersion + small_C[winner]
    if weight < DECIDED or between - criterion_C[winner] < more:
        return Shape(UNDECIDED, weight)
    if not _looks_like(curves_ST.mean(0), shapes.h_CT[winner], fits.fall_C[winner], verdict):
        return Shape(UNDECIDED, weight)
    return Shape(verdict, weight, float(shapes.since_C[winner]) if verdict == PLATEAU else None)
