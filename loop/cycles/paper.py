"""The cycles of Briesch, Sobania and Rothlauf (arXiv 2311.16822, section 3)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from loop.cycles.cycle import Cycle, random_subset
from loop.examples import Examples, concatenate


@dataclasses.dataclass(frozen=True)
class Full(Cycle):
    """D_{t+1} = N_t."""

    name: str = "full"
    meaning: str = "the incoming block: (1-φ)·m samples of the newest model and φ·m fresh real examples"

    def newest_share(self, renewal_share: float, generation: int) -> float:
        return 1.0

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        return blocks[-1]


@dataclasses.dataclass(frozen=True)
class Incremental(Cycle):
    """D_{t+1} = a random (m-b)-subset of D_t, plus N_t."""

    name: str = "incremental"
    meaning: str = (
        "a random half of the old training set, and an incoming block of the same size (`loop.renewal_share`)"
    )
    renewal_share: float | None = 0.5

    def newest_share(self, renewal_share: float, generation: int) -> float:
        return renewal_share

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        newest = blocks[-1]
        return concatenate([random_subset(current, m - len(newest), rng), newest])


@dataclasses.dataclass(frozen=True)
class Balanced(Cycle):
    """D_{t+1} = m examples in equal shares from D_0, N_0, …, N_t; what does not divide comes from blocks at random."""

    name: str = "balanced"
    meaning: str = "m examples in equal shares from the first data and all incoming blocks"
    has_memory: bool = True

    def newest_share(self, renewal_share: float, generation: int) -> float:
        return 1 / (generation + 2)

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        share, rest = divmod(m, len(blocks))
        # At random: were it always the first blocks, more blocks than m would leave the newest out for good.
        one_more = set(rng.choice(len(blocks), rest, replace=False).tolist()) if rest else set()
        sizes = [share + (i in one_more) for i in range(len(blocks))]
        return concatenate([random_subset(b, size, rng) for b, size in zip(blocks, sizes, strict=True)])


@dataclasses.dataclass(frozen=True)
class Expanding(Cycle):
    """D_{t+1} = D_t plus N_t: it grows."""

    name: str = "expanding"
    meaning: str = "the old training set and the incoming block: it grows"
    renewal_share: float | None = 1.0

    def train_size(self, m: int, b: int, generation: int) -> int:
        return m + b * generation

    def newest_share(self, renewal_share: float, generation: int) -> float:
        return renewal_share / (1 + renewal_share * (generation + 1))

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        return concatenate([current, blocks[-1]])
