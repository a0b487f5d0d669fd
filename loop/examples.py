"""A set of expressions in which every one carries its provenance."""

import dataclasses
from collections.abc import Sequence

import numpy as np

REAL, GENERATED = 0, 1  # values of `source`


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """N expressions and where each comes from; a training set, or a block of one."""

    expressions: list[bytes]
    source: np.ndarray  # uint8_N: REAL or GENERATED
    generation: np.ndarray  # int32_N: the generation that wrote (or, if real, first used) the example
    index: np.ndarray  # int32_N: its place among what that generation wrote (or drew)
    root: np.ndarray  # int32_N: the generation whose model first wrote it, or -1 - k if it was drawn for D_k

    def __len__(self) -> int:
        return len(self.expressions)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same examples in the same order, provenance included."""
        names = ("source", "generation", "index", "root")
        return (
            isinstance(other, Examples)
            and self.expressions == other.expressions
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def drawn(cls, expressions: list[bytes], generation: int) -> "Examples":
        """Draws from the real distribution, first used in D_generation, in order."""
        return cls._labelled(expressions, REAL, generation, np.full(len(expressions), -1 - generation, np.int32))

    @classmethod
    def written(cls, expressions: Sequence[bytes], generation: int, train: "Examples") -> "Examples":
        """What the model of a generation wrote, in order, having been trained on `train`.

        A sample descends from the oldest equal example of the training set; without one it is the model's own.
        """
        oldest: dict[bytes, int] = {}
        for e, root in zip(train.expressions, train.root.tolist(), strict=True):
            if e not in oldest or _age(root) < _age(oldest[e]):
                oldest[e] = root
        roots = np.array([oldest.get(e, generation) for e in expressions], np.int32)
        return cls._labelled(expressions, GENERATED, generation, roots)

    @classmethod
    def _labelled(cls, expressions: Sequence[bytes], source: int, generation: int, root: np.ndarray) -> "Examples":
        n = len(expressions)
        index = np.arange(n, dtype=np.int32)
        return cls(list(expressions), np.full(n, source, np.uint8), np.full(n, generation, np.int32), index, root)

    def take(self, rows: np.ndarray) -> "Examples":
        """The examples at `rows`, int_M, in that order."""
        chosen = [self.expressions[i] for i in rows.tolist()]
        return Examples(chosen, self.source[rows], self.generation[rows], self.index[rows], self.root[rows])

    def edited(self, expressions: Sequence[bytes], generation: int) -> "Examples":
        """The same examples as the model of a generation has edited them: what it has changed descends from it."""
        changed = np.array([a != b for a, b in zip(self.expressions, expressions, strict=True)], bool)
        root = np.where(changed, generation, self.root).astype(np.int32)
        return dataclasses.replace(self, expressions=list(expressions), root=root)

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
        np.concatenate([part.root for part in parts]),
    )


def _age(root: int) -> tuple[int, bool]:
    """Orders roots from old to young: what was drawn for D_k is there before M_k writes."""
    return (-1 - root, False) if root < 0 else (root, True)
