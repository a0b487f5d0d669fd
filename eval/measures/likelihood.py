"""The distance of a model from R, from its likelihood of real expressions that it was not trained on.

-log M(e) is in nats at temperature 1. Real expressions longer than the context are cut there, as samples are: then
both estimates of KL(R‖M) are lower bounds.
"""

from typing import NamedTuple

import numpy as np

from eval.measures.measure import DISTANCE, Measure
from eval.measures.observation import Observation


class Estimate(NamedTuple):
    """A mean and its standard error."""

    value: float
    standard_error: float


def mean_estimate(x: np.ndarray) -> Estimate:
    """The mean of independent values; the error of one value is not known, and 0."""
    return Estimate(float(np.mean(x)), float(np.std(x, ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0)


def kl_from_real(nll_N: np.ndarray, entropy: float) -> Estimate:
    """KL(R‖M) from -log M(e) on independent draws e of R: their mean less the exact entropy of R, in nats.

    Unbiased over draws, but all rows that share one draw share its error: the mean of -log R(e) on that draw less the
    entropy, one constant that no number of cells or generations averages out. `kl_paired` is the estimate without it.
    """
    mean, error = mean_estimate(nll_N)
    return Estimate(mean - entropy, error)


def kl_paired(nll_N: np.ndarray, log_real_N: np.ndarray) -> Estimate:
    """KL(R‖M) from log R(e) - log M(e) on independent draws e of R: unbiased, with far less noise, and 0 for R."""
    return mean_estimate(nll_N + log_real_N)


def _from_real(o: Observation) -> Estimate:
    entropy = o.language.entropy
    assert entropy is not None
    return kl_from_real(o.nll, entropy)


def _paired(o: Observation) -> Estimate:
    return kl_paired(o.nll, o.log_real_held_out)


_ENTROPY, _LOG = ("held_out", "entropy"), ("held_out", "log_probability")
MEASURES = (
    Measure(
        "real_nll",
        lambda o: float(np.mean(o.nll)),
        "negative log-likelihood of real data",
        DISTANCE,
        "nats",
        "-log probability per held-out real expression, at temperature 1",
        needs=("held_out",),
    ),
    Measure(
        "kl_from_real",
        lambda o: o.once(_from_real).value,
        "KL from the real distribution, unpaired",
        DISTANCE,
        "nats",
        "`real_nll` less the exact entropy: `kl_paired` plus one constant, the same in every row that shares the "
        "held-out draw, by which that draw's mean -log probability differs from the entropy",
        _ENTROPY,
    ),
    Measure(
        "kl_from_real_se",
        lambda o: o.once(_from_real).standard_error,
        "standard error of the unpaired KL",
        DISTANCE,
        "nats",
        "standard error of `kl_from_real`; the part of the constant does not fall with more cells or generations",
        _ENTROPY,
    ),
    Measure(
        "kl_paired",
        lambda o: o.once(_paired).value,
        "KL from the real distribution to the model",
        DISTANCE,
        "nats",
        "KL from the real distribution to the model, from log-probabilities paired on held-out real expressions",
        _LOG,
        leads=True,
    ),
    Measure(
        "kl_paired_se",
        lambda o: o.once(_paired).standard_error,
        "standard error of the KL",
        DISTANCE,
        "nats",
        "standard error of `kl_paired`",
        _LOG,
        leads=True,
    ),
)
