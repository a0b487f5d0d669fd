"""A schedule of the fresh ratio: first a collapse, then fresh data. Does diversity come back?"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from loop.cycles.cycle import Cycle
from loop.examples import Examples


@dataclasses.dataclass(frozen=True)
class Rescue(Cycle):
    """D_{t+1} = N_t, without fresh data in the first `alone` blocks; the cell's fresh ratio counts from then on."""

    name: str = "rescue"
    meaning: str = "the incoming block; its fresh real examples begin with the block that generation 3 leaves behind"
    alone: int = 3

    def fresh_ratio(self, ratio: float, generation: int) -> float:
        return 0.0 if generation < self.alone else ratio

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        return blocks[-1]
