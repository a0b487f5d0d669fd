"""Only samples that a verifier passes (Feng et al., "Beyond Model Collapse: Scaling Up with Synthesized Data Requires
Verification", arXiv 2406.07515).

With y whether a sample passes `level`, it is kept with the probability

    keep_true if y else keep_false

independently of all others: 1 and 0 are the perfect verifier, equal numbers one that knows nothing.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from loop.remedies.remedy import VERDICTS, Pool, Selects, check_fill


@dataclasses.dataclass(frozen=True)
class Verified(Selects):
    """Keeps what passes a verdict; the verifier may err."""

    keep_false: float = 0.0  # probability that a sample is kept which does not pass
    keep_true: float = 1.0  # and one that does
    level: str | None = None  # verdict of the language; None: the one that makes a sample correct
    fill: str = "repeat"

    needs: ClassVar[tuple[str, ...]] = (VERDICTS,)

    def __post_init__(self) -> None:
        for name in ("keep_false", "keep_true"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: allowed are 0 to 1")
        check_fill(self.fill)

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        level = self.level or pool.language.correct
        assert level is not None
        return np.flatnonzero(rng.random(len(pool)) < np.where(pool.verdicts[level], self.keep_true, self.keep_false))
