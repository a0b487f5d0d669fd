"""Shapes of a fall, and how well each fits the curves of several seeds.

Every shape is d(t) = d(0) - A·h(t), with h from 0 in generation 0 to 1 in the last one.

    straight        t
    exponential     1 - exp(-t/τ)              reaches its floor if τ is short, and is far from it if τ is long
    stretched       1 - exp(-(t/τ)^β)          the same with a slow start (β > 1) or a long tail (β < 1)
    broken line     min(t, knot)               a straight fall that stops
    logarithm       log(1 + t/s)               ever slower, without a floor
    power law       1 - (1 + t/s)^-a           between the last two: a floor that is far away
    S-curve         1/(1 + exp(-(t - m)/w))    a fall that begins late
    two falls       an exponential, a rest, and a line that begins in the second half
    two speeds      an exponential and a line  a fast fall first, then a slow one that goes on

The axes: S seeds, T generations, C candidate shapes, W widths.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

NOISE = 1e-3  # of the start: smallest standard deviation we believe in
WALKS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # variance of a step of the random walk over the noise's
# The share of its fall that an S-curve has in the last third jumps with its width: it is laid out by share, not by
# width, so that no share is missing and a curve there taken for one of its neighbours.
SHARES = (0, 0.005, 0.01, 0.02, 0.03, 0.039, 0.05, 0.06, 0.07, 0.081, 0.1, 0.12, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 1)


class Candidates(NamedTuple):
    """The shapes that are tried."""

    h_CT: np.ndarray
    parameters_C: np.ndarray  # of the curve, d(0) and A among them
    share_C: np.ndarray  # of the fall that lies in the last third of the generations
    since_C: np.ndarray  # generation by which 95 % of the fall are done


def _s_curves(t: np.ndarray) -> Iterator[np.ndarray]:
    last = t[-1]
    width_W = np.geomspace(0.01, 0.5, 60) * last
    for middle in np.linspace(0.15, 0.95, 17) * last:
        start_W, third_W, end_W = (1 / (1 + np.exp(-(x - middle) / width_W)) for x in (0, last * 2 / 3, last))
        share_W = (end_W - third_W) / (end_W - start_W)
        for share in SHARES:
            i = np.abs(share_W - share).argmin()
            if abs(share_W[i] - share) < 0.2 * share + 0.002:
                yield 1 / (1 + np.exp(-(t - middle) / width_W[i])) - start_W[i]


def _two_falls(t: np.ndarray) -> Iterator[np.ndarray]:
    last = t[-1]
    for tau in np.array([0.02, 0.06, 0.15]) * last:
        early = 1 - np.exp(-t / tau)
        for begin in np.array([0.5, 0.6, 0.7, 0.8, 0.9]) * last:
            for end in (begin + 0.2 * (last - begin), last):
                late = np.clip((t - begin) / (end - begin), 0, 1)
                for weight in (0.15, 0.3, 0.5):
                    yield (1 - weight) * early + weight * late


@functools.cache
def candidates(T: int) -> Candidates:
    """The shapes over T generations; the straight line is the first."""
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
    for power in (0.15, 0.3, 0.6, 1.0, 2.0):
        for s in np.geomspace(0.3, last, 12):
            shapes.append((1 - (1 + t / s) ** -power, 4))
    shapes += [(h, 4) for h in _s_curves(t)]
    shapes += [(h, 5) for h in _two_falls(t)]
    for tau in np.geomspace(0.5, last / 3, 16):
        fast = 1 - np.exp(-t / tau)
        for slow in (0.3, 0.45, 0.6, 0.8):
            shapes.append(((1 - slow) * fast / fast[-1] + slow * t / last, 4))
    h_CT = np.array([h / h[-1] for h, _ in shapes])
    share_C = 1 - np.array([np.interp(last * 2 / 3, t, h) for h in h_CT])
    since_C = np.array([np.interp(0.95, h, t) for h in h_CT])
    return Candidates(h_CT, np.array([k for _, k in shapes]), share_C, since_C)


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
        x_CT = candidates(T).h_CT @ W_TT.T
        x_CT = x_CT - np.outer(x_CT @ unit_T, unit_T)
        found.append(_Whitened(W_TT, float(np.linalg.slogdet(V_TT)[1]), unit_T, x_CT, (x_CT**2).sum(1)))
    return found


class Fits(NamedTuple):
    """Candidates (the constant is the last) by their best random walk."""

    deviance_C: np.ndarray  # -2 log likelihood
    fall_C: np.ndarray  # A
    error_C: np.ndarray  # its standard error
    dispersion_C: np.ndarray  # of the mean curve around the fit, against that of the seeds around their mean


def fit(curves_ST: np.ndarray) -> Fits:
    """Fits every candidate to the seeds, which share one shape and differ by noise and a random walk of their own."""
    S, T = curves_ST.shape
    mean_T = curves_ST.mean(0)
    floor = (NOISE * abs(mean_T[0]) or NOISE) ** 2
    freedom_C = np.maximum(T - np.append(candidates(T).parameters_C, 1), 1)
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
    return Fits(*(stacked[best_C, i, np.arange(stacked.shape[2])] for i in range(4)))
