"""Does a curve's fall stop or go on? Shapes of a fall, fitted to the curves of several seeds and weighed.

Every shape is d(t) = d(0) - A·h(t), with h rising from 0 to 1 over the run. What it claims is read off h itself: how
much of the fall lies in the last third of the generations. Shapes that hardly fall there (at most PLATEAU_SHARE of the
whole fall) say *plateau*, shapes that clearly do (at least FALLING_SHARE) say *still falling*; what lies between says
neither, so that the two claims differ by something that a run can show.

    exponential   1 - exp(-t/τ)             reaches its floor if τ is short, and is far from it if τ is long
    stretched     1 - exp(-(t/τ)^β)         the same with a slow start (β > 1) or a long tail (β < 1)
    broken line   min(t, knot)              a straight fall that stops
    logarithm     log(1 + t/s)              ever slower, without a floor (a power law of small exponent)
    two speeds    exponential and a straight line: a fast fall first, then a slow one that goes on

The axes: S seeds, T generations, C candidate shapes.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

NO_FALL, PLATEAU, FALLING, UNDECIDED = "no fall", "plateau", "falling", "undecided"
PLATEAU_SHARE, FALLING_SHARE = 0.04, 0.08  # of the whole fall, in the last third
SMALL = 0.05  # of the start: a fall that is surely smaller is none
DECIDED = 0.9  # smallest Akaike weight of a claim
FEWEST = 5  # generations to tell that nothing falls; the other claims need 7
NOISE = 1e-3  # of the start: smallest standard deviation we believe in
WALKS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # variance of a step of the random walk over the noise's


class Shape(NamedTuple):
    """What a fall does at the end: NO_FALL, PLATEAU, FALLING or UNDECIDED; the Akaike weight of plateau or falling.

    `since`: the generation from which a plateau holds, by which 95 % of the fall are done.
    """

    verdict: str
    weight: float | None = None
    since: float | None = None


class _Candidates(NamedTuple):
    h_CT: np.ndarray
    parameters_C: np.ndarray  # of the curve, d(0) and A among them
    share_C: np.ndarray  # of the fall that lies in the last third
    since_C: np.ndarray


@functools.cache
def _candidates(T: int) -> _Candidates:
    t = np.arange(T, dtype=np.float64)
    last = t[-1]
    shapes: list[tuple[np.ndarray, int]] = [(t, 2)]
    for tau in np.geomspace(0.3, 3 * last, 40):
        shapes.append((1 - np.exp(-t / tau), 3))
    for knot in np.unique(np.linspace(1, last - 1, min(T, 40)).round(1)):
        shapes.append((np.minimum(t, knot), 3))
    for power in (0.5, 0.7, 1.5, 2.0):
        for tau in np.geomspace(0.3, last, 20):
            shapes.append((1 - np.exp(-((t / tau) ** power)), 4))
    for s in np.geomspace(0.1, last, 12):
        shapes.append((np.log1p(t / s), 3))
    for tau in np.geomspace(0.5, last / 3, 16):
        fast = 1 - np.exp(-t / tau)
        for slow in (0.3, 0.45, 0.6, 0.8):
            shapes.append(((1 - slow) * fast / fast[-1] + slow * t / last, 4))
    h_CT = np.array([h / h[-1] for h, _ in shapes])
    share_C = 1 - np.array([np.interp(last * 2 / 3, t, h) for h in h_CT])
    since_C = np.array([np.interp(0.95, h, t) for h in h_CT])
    return _Candidates(h_CT, np.array([k for _, k in shapes]), share_C, since_C)


class _Whitened(NamedTuple):
    """The candidates as seen through one of WALKS; the constant is taken out."""

    W_TT: np.ndarray  # makes noise and random walk white
    logdet: float  # of their covariance
    unit_T: np.ndarray  # the constant
    x_CT: np.ndarray
    norm_C: np.ndarray  # squared


@functools.cache
def _whitened(T: int) -> list[_Whitened]:
    """All that does not depend on the curves. A walk starts before generation 0: seeds differ from the beginning."""
    t = np.arange(T)
    found = []
    for walk in WALKS:
        V_TT = np.eye(T) + walk * (np.minimum.outer(t, t) + 1)
        W_TT = np.linalg.inv(np.linalg.cholesky(V_TT))
        unit_T = W_TT.sum(1) / np.linalg.norm(W_TT.sum(1))
        x_CT = _candidates(T).h_CT @ W_TT.T
        x_CT = x_CT - np.outer(x_CT @ unit_T, unit_T)
        found.append(_Whitened(W_TT, float(np.linalg.slogdet(V_TT)[1]), unit_T, x_CT, (x_CT**2).sum(1)))
    return found


class _Fits(NamedTuple):
    """Candidates (the constant is the last) by their best random walk."""

    deviance_C: np.ndarray  # -2 log likelihood
    fall_C: np.ndarray  # A
    error_C: np.ndarray  # its standard error
    dispersion_C: np.ndarray  # of the mean curve around the fit, against that of the seeds around their mean


def _fit(curves_ST: np.ndarray, candidates: _Candidates) -> _Fits:
    S, T = curves_ST.shape
    mean_T = curves_ST.mean(0)
    floor = (NOISE * abs(mean_T[0]) or NOISE) ** 2
    freedom_C = np.maximum(T - np.append(candidates.parameters_C, 1), 1)
    found = []
    for W_TT, logdet, unit_T, x_CT, norm_C in _whitened(T):
        y_T = W_TT @ mean_T
        y_T = y_T - unit_T * (unit_T @ y_T)
        fall_C = np.append(-(x_CT @ y_T) / norm_C, 0.0)
        rest_C = np.append((y_T @ y_T) - fall_C[:-1] ** 2 * norm_C, y_T @ y_T).clip(0)  # of the mean curve
        between = (((curves_ST - mean_T) @ W_TT.T) ** 2).sum() + S * T * floor
        variance_C = (S * rest_C + between) / (S * T)
        deviance_C = S * T * np.log(variance_C) + S * logdet
        scale = between / ((S - 1) * T) if S > 1 else np.inf
        dispersion_C = np.maximum(S * rest_C / freedom_C / scale, 1)
        error_C = np.append(np.sqrt(variance_C[:-1] / S / norm_C), 0.0)
        found.append((deviance_C, fall_C, error_C, dispersion_C))
    stacked = np.array(found)  # walk, what, C
    best_C = stacked[:, 0].argmin(0)
    return _Fits(*(stacked[best_C, i, np.arange(stacked.shape[2])] for i in range(4)))


def fall_shape(curves: Iterable[Iterable[float]]) -> Shape:
    """Whether the curves of several seeds (each from generation 0 on, equally long) fall, and stop or go on falling.

    The seeds share one shape. Within a seed noise is correlated: independent noise plus a random walk, whose sizes are
    estimated from the seeds' deviations from their mean and from the mean's from the fit. So a seed is one curve, not
    T independent numbers, and the sample size of AICc is the number of generations, not seeds times generations. Where
    the mean curve fits worse than the seeds' spread explains, all evidence is divided by that ratio (QAICc: Burnham
    and Anderson 2002, 2.5), since then no shape is quite right.

    The weight compares the best shape of either claim; below DECIDED, or if what lies between fits that much better
    than both, nothing is claimed.
    """
    curves_ST = np.array([list(curve) for curve in curves], np.float64)
    T = curves_ST.shape[1] if curves_ST.ndim == 2 else 0
    if T < FEWEST:
        return Shape(UNDECIDED)
    start = curves_ST[:, 0].mean()
    if start <= 0:
        return Shape(NO_FALL if curves_ST.mean() >= start else UNDECIDED)
    candidates = _candidates(T)
    fits = _fit(curves_ST, candidates)
    parameters_C = np.append(candidates.parameters_C, 1) + 2  # noise and walk
    dispersion = fits.dispersion_C[fits.deviance_C.argmin()]
    with np.errstate(divide="ignore"):
        small_C = np.where(parameters_C + 1 < T, 2 * parameters_C * T / (T - parameters_C - 1.0), np.inf)
    criterion_C = fits.deviance_C / dispersion + small_C  # QAICc
    constant, criterion_C = criterion_C[-1], np.where(fits.fall_C > 0, criterion_C, np.inf)[:-1]

    def best(which: np.ndarray) -> float:
        return float(criterion_C[which].min(initial=np.inf))

    needed = 2 * np.log(DECIDED / (1 - DECIDED))
    if not best(criterion_C < np.inf) < constant - needed:
        linear = 0  # the first candidate
        fall, error = fits.fall_C[linear], np.sqrt(dispersion) * fits.error_C[linear]
        return Shape(NO_FALL if fall + 1.645 * error < SMALL * start and fall < 2.5 * error else UNDECIDED)
    stays, falls = candidates.share_C <= PLATEAU_SHARE, candidates.share_C >= FALLING_SHARE
    plateau, falling, neither = best(stays), best(falls), best(~stays & ~falls)
    if np.inf in (plateau, falling):
        return Shape(UNDECIDED)  # fewer than 7 generations: AICc admits no shape that stops, so there is no contest
    verdict = PLATEAU if plateau < falling else FALLING
    weight = float(1 / (1 + np.exp(-abs(plateau - falling) / 2)))
    if weight < DECIDED or neither < min(plateau, falling):
        return Shape(UNDECIDED, weight)
    if verdict == FALLING:
        return Shape(FALLING, weight)
    i = np.where(stays, criterion_C, np.inf).argmin()
    return Shape(PLATEAU, weight, float(candidates.since_C[i]))
