"""A set of expressions in which every one carries its provenance."""

import dataclasses
from collections.abc import Sequence

import numpy as np

REAL, GENERATED = 0, 1  # values of `source`


@dataclasses.dataclass(frozen=True)
class Examples:
    """N expressions and where each comes from; a training set, or a block of one."""

    expressions: list[bytes]
    source: np.ndarray  # uint8_N: REAL or GENERATED
    generation: np.ndarray  # int32_N: the generation that wrote (or, if real, first used) the example
    index: np.ndarray  # int32_N: its place among what that generation wrote (or drew)

    def __len__(self) -> int:
        return len(self.expressions)

    @classmethod
    def of(cls, expressions: list[bytes], source: int, generation: int) -> "Examples":
        """Labels what one generation wrote, or drew, in order."""
        n = len(expressions)
        return cls(
            expressions,
            np.full(n, source, np.uint8),
            np.full(n, generation, np.int32),
            np.arange(n, dtype=np.int32),
        )

    def take(self, rows: np.ndarray) -> "Examples":
        """The examples at `rows`, int_M, in that order."""
        chosen = [self.expressions[i] for i in rows.tolist()]
        return Examples(chosen, self.source[rows], self.generation[rows], self.index[rows])

    @property
    def real_fraction(self) -> float:
        """Share of the examples that were drawn from the real distribution."""
        return float(np.mean(self.source == REAL)) if len(self) else 0.0


def concatenate(parts: Sequence[Examples]) -> Examples:
    """All parts, one after another."""
    return Examples(
        [e for part in parts for e in part.expressions],
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.generation for part in parts]),
        np.concatenate([part.index for part in parts]),
    )
