"""The grammar learner: the maximum-likelihood fit of the language's own family, the right inductive bias.

It shows drift in parameters instead of in expressions.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from loop.learners.sharpen import draw, sharpen
from model.config import SampleConfig


@dataclasses.dataclass(frozen=True)
class GrammarFit:
    """Asks the language for its fit; what is not in the family is left out and counted."""

    def learn(self, examples: Sequence[bytes], language: Any, context_length: int) -> "Fit":
        """`language.fit(examples)` -> (fitted, how many were left out). Raises ValueError if all are."""
        fitted, left_out = language.fit(examples)
        return Fit(fitted, left_out, context_length)


@dataclasses.dataclass(frozen=True)
class Fit:
    """What was learnt: anything with `write` and `log_likelihood`, such as logic.boolean.fitted.FittedGrammar."""

    fitted: Any
    left_out: int  # examples that are not in the family
    context_length: int

    def sample(self, n: int, rng: np.random.Generator, config: SampleConfig) -> list[bytes]:
        """Writes n independent samples."""
        return self.fitted.write(n, self.context_length, lambda log_p_BV: draw(sharpen(log_p_BV, config), rng))

    def log_likelihood(self, samples: Sequence[bytes]) -> np.ndarray:
        """log M(e) in nats at temperature 1, float64_N; minus infinity for what it cannot write."""
        return self.fitted.log_likelihood(samples, self.context_length)
