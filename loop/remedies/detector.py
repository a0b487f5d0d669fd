"""Samples drawn by how human they look (Drayson, Yilmaz and Lampos, "Machine-generated text detection prevents language
model collapse", EMNLP 2025, arXiv 2502.15654).

With q the probability that a sample is generated, it is drawn with a probability in proportion to (1 - q)^exponent,
without replacement, from a list in which each stands `repeats` times.

By default q is learnt, as in the source, since nobody but a test bed knows it: a classifier (classifier.py) tells the
samples from D_0, the real examples that the cell began with, so that nothing real is drawn besides. The source's
detector is a large model that was trained on other texts; this one is trained anew in every generation.

With `oracle` q is exact, for both distributions are known: an upper bound of what detection can do. Of a mixture with
the share `prior` of generated data,

    q(e) = prior M(e) / (prior M(e) + (1 - prior) R(e)),

M being what the model samples from. Samples that R cannot draw have q = 1, and are never drawn.

The source draws 1.5 times as many examples as it has. Here the block keeps its size, for equal budgets: it is drawn
from `oversample` times as many samples as it takes, as far as there are.
"""

import dataclasses
import math

import numpy as np

from loop.remedies.classifier import log_not_generated
from loop.remedies.remedy import FIRST_DATA, REAL, WRITTEN, Pool, Selects, check_fill


@dataclasses.dataclass(frozen=True)
class Detector(Selects):
    """A detector of generated samples resamples the block."""

    exponent: float = 10.0
    oversample: float = 1.5  # samples to choose from, per sample that the block takes: the first ones
    repeats: int = 3  # a sample is taken so many times at most
    oracle: bool = False  # whether q is exact instead of learnt
    prior: float = 0.5  # share of generated data that the detector expects
    fill: str = "repeat"

    def __post_init__(self) -> None:
        if not 0 < self.exponent <= 1_000:
            raise ValueError(f"exponent = {self.exponent}: allowed are numbers above 0, to 1000")
        if not 1 <= self.oversample <= 1_000:
            raise ValueError(f"oversample = {self.oversample}: allowed are numbers from 1 to 1000")
        if self.repeats < 1:
            raise ValueError(f"repeats = {self.repeats}: allowed are integers from 1")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior = {self.prior}: allowed are 0 < prior < 1")
        check_fill(self.fill)

    @property
    def needs(self) -> tuple[str, ...]:
        """The exact q is of a network and of a language that knows its distribution."""
        return (REAL, WRITTEN) if self.oracle else (FIRST_DATA,)

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        pool = pool.take(np.arange(min(math.ceil(self.oversample * wanted), len(pool))))
        log_weight_N = np.repeat(self.exponent * self._log_human(pool), self.repeats)
        # Gumbel's trick: the largest of log-weights with such noise are draws without replacement.
        noisy_N = log_weight_N + rng.gumbel(size=len(log_weight_N))
        order_N = np.argsort(-noisy_N, kind="stable")[:wanted]
        return order_N[np.isfinite(noisy_N[order_N])] // self.repeats

    def _log_human(self, pool: Pool) -> np.ndarray:
        """log(1 - q), float64_N."""
        if not self.oracle:
            return log_not_generated(pool.real, pool.samples.expressions, self.prior)
        log_real_N = pool.language.log_probability(pool.samples.expressions)
        assert log_real_N is not None
        return log_human(log_real_N, -pool.written_nats.astype(np.float64), self.prior)


def log_human(log_real_N: np.ndarray, log_model_N: np.ndarray, prior: float) -> np.ndarray:
    """log(1 - q) of the exact q, float64_N."""
    return np.log1p(-prior) + log_real_N - np.logaddexp(np.log(prior) + log_model_N, np.log1p(-prior) + log_real_N)
