"""Only the recent past: accumulated data from which the oldest blocks are dropped."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from loop.cycles.cycle import Cycle, random_subset
from loop.examples import Examples, concatenate


@dataclasses.dataclass(frozen=True)
class Window(Cycle):
    """D_{t+1} = a random m-subset of the last `blocks` of D_0, N_0, …, N_t."""

    name: str = "window"
    meaning: str = "a random m of the last three of the first data and all incoming blocks"
    has_memory: bool = True
    blocks: int = 3

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        return random_subset(concatenate(blocks[-self.blocks :]), m, rng)
