"""Samples drawn by how human they look (Drayson, Yilmaz and Lampos, "Machine-generated text detection prevents language
model collapse", EMNLP 2025, arXiv 2502.15654).

With q the probability that a sample is generated, it is drawn with a probability in proportion to (1 - q)^exponent,
without replacement, from a list in which each stands `repeats` times. Here q is exact, for both distributions are
known: of a mixture with the share `prior` of generated data,

    q(e) = prior M(e) / (prior M(e) + (1 - prior) R(e)),

M being what the model samples from. Samples that R cannot draw have q = 1, and are never drawn. Of the source's 1.5
times as many samples as the block takes, all that the configuration lets a model write are there to choose from.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from loop.remedies.remedy import REAL, WRITTEN, Pool, Selects, check_fill


@dataclasses.dataclass(frozen=True)
class Detector(Selects):
    """An oracle of where a sample comes from resamples the block."""

    exponent: float = 10.0
    repeats: int = 3  # a sample is taken so many times at most
    prior: float = 0.5  # share of generated data that the oracle expects
    fill: str = "repeat"

    needs: ClassVar[tuple[str, ...]] = (REAL, WRITTEN)

    def __post_init__(self) -> None:
        if not 0 < self.exponent <= 1_000:
            raise ValueError(f"exponent = {self.exponent}: allowed are numbers above 0, to 1000")
        if self.repeats < 1:
            raise ValueError(f"repeats = {self.repeats}: allowed are integers from 1")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior = {self.prior}: allowed are 0 < prior < 1")
        check_fill(self.fill)

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        log_real_N = pool.language.log_probability(pool.samples.expressions)
        assert log_real_N is not None
        log_weight_N = self.exponent * log_human(log_real_N, -pool.written_nats.astype(np.float64), self.prior)
        log_weight_N = np.repeat(log_weight_N, self.repeats)
        # Gumbel's trick: the largest of log-weights with such noise are draws without replacement.
        noisy_N = log_weight_N + rng.gumbel(size=len(log_weight_N))
        order_N = np.argsort(-noisy_N, kind="stable")[:wanted]
        return order_N[np.isfinite(noisy_N[order_N])] // self.repeats


def log_human(log_real_N: np.ndarray, log_model_N: np.ndarray, prior: float) -> np.ndarray:
    """log(1 - q), float64_N."""
    return np.log1p(-prior) + log_real_N - np.logaddexp(np.log(prior) + log_model_N, np.log1p(-prior) + log_real_N)
