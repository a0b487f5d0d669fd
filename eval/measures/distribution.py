"""Samples against the true distribution R, which is known exactly.

Divergences are in nats. Every estimate says what its bias is; one that is corrected can come out below zero.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from logic.boolean.grammar import Grammar
from logic.boolean.trees import root_operator
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import Verdicts
from logic.ids import lengths

RARE = 0.1  # the mass of R whose least probable expressions are called rare
_RARE_DRAWS = 200_000  # from R, to find where that mass ends: its error is about 0.2 % of the mass


class Estimate(NamedTuple):
    """A mean and its standard error."""

    value: float
    standard_error: float


def mean_estimate(x: np.ndarray) -> Estimate:
    """The mean of independent values; the error of one value is not known, and 0."""
    return Estimate(float(np.mean(x)), float(np.std(x, ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0)


def kl_from_real(nll_N: np.ndarray, grammar: Grammar) -> Estimate:
    """KL(R‖M) from -log M(e) on independent draws e of R: their mean less the exact entropy of R. Unbiased."""
    mean, error = mean_estimate(nll_N)
    return Estimate(mean - grammar.entropy, error)


def kl_paired(nll_N: np.ndarray, log_real_N: np.ndarray) -> Estimate:
    """KL(R‖M) from log R(e) - log M(e) on independent draws e of R: unbiased, with far less noise."""
    return mean_estimate(nll_N + log_real_N)


def support_coverage(distinct: Iterable[bytes], grammar: Grammar) -> float:
    """Probability mass under R of a set of distinct expressions, in [0, 1]."""
    return math.fsum(np.exp(grammar.log_probability(list(distinct))))  # exact, whatever the order of a set


def outside(verdicts: Verdicts) -> dict[str, float]:
    """The samples' mass outside the support and why; unbiased, and with `in_support` it sums to one."""
    return {
        "outside_syntax": float(np.mean(~verdicts.syntactic)),
        "outside_false": float(np.mean(verdicts.syntactic & ~verdicts.semantic)),
        "outside_form": float(np.mean(verdicts.semantic & ~verdicts.in_support)),  # brackets or depth
    }


@functools.cache
def _expected_kl(p_K: tuple[float, ...], n: int) -> float:
    """What the plug-in KL of n draws from the distribution itself is expected to be, exactly."""
    total = 0.0
    for p in p_K:
        if p >= 1:
            continue  # all n, for certain
        if p > 0:
            counts = np.arange(1, min(n, int(n * p + 12 * (n * p) ** 0.5) + 30) + 1)  # beyond is nothing
            # The binomial's probabilities from those of their ratios: scipy.stats takes half a second to import.
            log_ratio = np.log((n - counts[:-1]) / counts[1:]) + np.log(p) - np.log1p(-p)
            log_one = np.log(n * p) + (n - 1) * np.log1p(-p)
            log_binomial = np.cumsum(np.concatenate([[log_one], log_ratio]))
            total += np.sum(np.exp(log_binomial) * (counts / n) * np.log(counts / (n * p)))
    return float(total)


def compare(count_K: np.ndarray, p_K: np.ndarray) -> tuple[float | None, float | None]:
    """KL(samples‖R) and total variation of a statistic with K values, from its counts and its exact distribution.

    The KL is the plug-in estimate less what n draws from R would give: unbiased at zero, to first order elsewhere.
    Total variation is the plug-in estimate, biased upwards by up to about sqrt(K / 2πn). None without samples.
    """
    n = int(count_K.sum())
    if n == 0:
        return None, None
    q_K = count_K / n
    seen = count_K > 0
    kl = float(np.sum(q_K[seen] * np.log(q_K[seen] / p_K[seen])))
    return kl - _expected_kl(tuple(p_K.tolist()), n), float(np.abs(q_K - p_K).sum() / 2)


def marginals(samples: Sequence[bytes], verdicts: Verdicts, grammar: Grammar) -> dict[str, float | None]:
    """How the samples that are in the support differ from R in depth, in length and in the root's operator."""
    inside = [e for e, ok in zip(samples, verdicts.in_support.tolist(), strict=True) if ok]
    statistics = {
        "depth": (evaluate(inside).depth, grammar.depth_distribution()),
        "length": (lengths(inside), grammar.length_distribution()),
        "root": (root_operator(inside), grammar.root_distribution()),
    }
    row: dict[str, float | None] = {}
    for name, (value_N, p_K) in statistics.items():
        row[f"kl_{name}"], row[f"tv_{name}"] = compare(np.bincount(value_N, minlength=len(p_K)), p_K)
    return row


@functools.cache
def rare_threshold(grammar: Grammar) -> tuple[float, float]:
    """log R(e) of the most probable rare expressions, and the mass of all rare ones, which ties can push above RARE."""
    draws = grammar.log_probability(grammar.sample(_RARE_DRAWS, np.random.default_rng(0)))
    threshold = float(np.quantile(draws, RARE, method="inverted_cdf")) + 1e-9
    return threshold, float(np.mean(draws <= threshold))


def rare_mass_reached(distinct: Iterable[bytes], grammar: Grammar) -> float:
    """Share of the mass of R's rarest expressions that a set of distinct expressions still holds."""
    threshold, mass = rare_threshold(grammar)
    log_real = grammar.log_probability(list(distinct))
    return math.fsum(np.exp(log_real[log_real <= threshold])) / mass


def jensen_shannon(a: Counter, b: Counter) -> float:
    """Jensen-Shannon divergence of two empirical distributions: symmetric, from 0 to log 2.

    The plug-in estimate: biased upwards, all the more the larger the support is against the samples. Two samples of
    one distribution show how much.
    """
    total = 0.0
    for x, y in ((a, b), (b, a)):
        n, m = x.total(), y.total()
        total += sum(c / n * np.log(2 * (c / n) / (c / n + y[e] / m)) for e, c in x.items()) / 2
    return float(total)
