"""What a learner is: something that learns a training set and then writes.

A learner is a frozen dataclass whose fields are its parameters; `LEARNERS` in this package names them.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from model.config import SampleConfig


class Model(Protocol):
    """What was learnt. A sample is what follows an `<eos>`: it ends before the next, or is cut at the context."""

    def sample(self, n: int, rng: np.random.Generator, config: SampleConfig) -> list[bytes]:
        """Writes n independent samples; temperature, top-k and top-p sharpen every conditional (`sharpen.py`)."""
        ...

    def log_likelihood(self, samples: Sequence[bytes]) -> np.ndarray:
        """log M(e) in nats at temperature 1, float64_N, the closing `<eos>` included.

        Samples are read as far as the context reaches, and one that fills it has no closing `<eos>`. Minus infinity for
        what cannot be written.
        """
        ...


class Learner(Protocol):
    """Learns from scratch, without randomness."""

    def learn(self, examples: Sequence[bytes], language: Any, context_length: int) -> Model:
        """Learns a training set of at least one example. Raises ValueError where nothing can be learnt from it.

        Args:
          language: has `vocabulary` and, for `grammar`, `fit(examples) -> (fitted, left out)`.
          context_length: symbols of the longest sample.
        """
        ...
