"""Samples against the true distribution R, which is known exactly.

Divergences are in nats. Every estimate says what its bias is; one that is corrected can come out below zero.
"""

import functools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from eval.measures.measure import DISTANCE, Measure
from eval.measures.observation import Observation
from logic import streams
from logic.language import Language, Statistic

RARE = 0.1  # the mass of R whose least probable expressions are called rare
_RARE_DRAWS = 200_000  # from R, to find where that mass ends: its standard error is 0.67 % of the mass


def support_coverage(log_real_U: np.ndarray) -> float:
    """Probability mass under R of a set of distinct expressions, from their log R(e): in [0, 1]."""
    return math.fsum(np.exp(log_real_U))  # exact, whatever the order of a set


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

    The KL is the plug-in estimate less its mean over n draws from R: unbiased for samples of R, so that no difference
    reads as zero. Elsewhere it reads low, by at most what is taken off: the plug-in's own bias is about (V - 1) / 2n
    for samples that take V values, and that of samples of R is taken off in its place. It is most wrong for a single
    value, where the plug-in has no bias: 50 samples, all of 25 symbols, read 3.65 instead of 4.20 at depths 1 to 5.
    Total variation is the plug-in estimate, biased upwards by up to about sqrt(K / 2πn). None without samples.
    """
    n = int(count_K.sum())
    if n == 0:
        return None, None
    q_K = count_K / n
    seen = count_K > 0
    kl = float(np.sum(q_K[seen] * np.log(q_K[seen] / p_K[seen])))
    return kl - _expected_kl(tuple(p_K.tolist()), n), float(np.abs(q_K - p_K).sum() / 2)


def marginals(language: Language) -> Sequence[Measure]:
    """How the samples that are in the support differ from R in each statistic of the language."""
    if language.support is None:
        return []
    return [measure for statistic in language.statistics for measure in _marginal(statistic)]


def _marginal(statistic: Statistic) -> tuple[Measure, Measure]:
    p_K = statistic.distribution

    def both(o: Observation) -> tuple[float | None, float | None]:
        return compare(np.bincount(statistic.values(o.in_support), minlength=len(p_K)), p_K)

    of = statistic.label
    meaning = "of the samples in the support from the real distribution, over that statistic"
    return (
        Measure(
            f"kl_{statistic.name}",
            lambda o: o.once(both)[0],
            f"KL of {of}",
            DISTANCE,
            "nats",
            f"KL {meaning}, less its mean over as many real samples: it reads low where they are far apart",
        ),
        Measure(
            f"tv_{statistic.name}",
            lambda o: o.once(both)[1],
            f"total variation of {of}",
            DISTANCE,
            "",
            f"total variation {meaning}",
        ),
    )


@functools.cache
def rare_threshold(language: Language) -> tuple[float, float]:
    """log R(e) of the most probable rare expressions, and the mass of all rare ones, which ties can push above RARE.

    Both are from draws: the mass below the threshold has a standard error of 0.67 % of itself. The draws are the same
    every time, so the error is one and the same in all rows of a language.
    """
    count = Counter(language.sample(_RARE_DRAWS, streams.rare()))
    distinct = language.log_probability(list(count))
    assert distinct is not None
    draws = np.repeat(distinct, list(count.values()))
    threshold = float(np.quantile(draws, RARE, method="inverted_cdf")) + 1e-9
    return threshold, float(np.mean(draws <= threshold))


def rare_mass_reached(log_real_U: np.ndarray, language: Language) -> float:
    """Share of the mass of R's rarest expressions that a set of distinct ones still holds, from their log R(e)."""
    threshold, mass = rare_threshold(language)
    return math.fsum(np.exp(log_real_U[log_real_U <= threshold])) / mass


COVERAGE = Measure(
    "support_coverage",
    lambda o: support_coverage(o.log_real_distinct),
    "covered mass of the real distribution",
    DISTANCE,
    "",
    "probability, under the real distribution, of the distinct samples",
    needs=("samples", "log_probability"),
)
RARE_MASS = Measure(
    "rare_mass_reached",
    lambda o: rare_mass_reached(o.log_real_distinct, o.language),
    "reached mass of rare expressions",
    DISTANCE,
    "",
    "share of the real distribution's rarest 10 % of mass that the samples still hold",
    needs=("samples", "log_probability"),
)
