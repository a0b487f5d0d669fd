"""Accumulated data under a fixed budget (Kazdan et al., arXiv 2410.16713)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from loop.cycles.cycle import Cycle, random_subset
from loop.examples import Examples, concatenate


@dataclasses.dataclass(frozen=True)
class Subsample(Cycle):
    """D_{t+1} = a random m-subset of D_0, N_0, …, N_t."""

    name: str = "subsample"
    meaning: str = "a random m of the first data and all incoming blocks"
    has_memory: bool = True

    def newest_share(self, renewal_share: float, generation: int) -> float:
        return 1 / (generation + 2)

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        return random_subset(concatenate(blocks), m, rng)
