"""The control: it never sees generated data."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from loop.cycles.cycle import Cycle
from loop.examples import Examples


@dataclasses.dataclass(frozen=True)
class Fresh(Cycle):
    """D_{t+1} = m new draws from R."""

    name: str = "fresh"
    meaning: str = "m new real examples: the control"
    is_control: bool = True

    def fresh_ratio(self, ratio: float, generation: int) -> float:
        return 1.0

    def newest_share(self, renewal_share: float, generation: int) -> float:
        return 1.0

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        return blocks[-1]
