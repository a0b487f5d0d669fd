"""What a data cycle is: how D_{t+1} is made from D_t, the incoming block and the past.

The incoming block of generation t is

    N_t = (1-φ)·b generated examples, drawn without replacement from S_t or as a selection chose them
          +  φ·b fresh draws from R

A cycle is pure: it sees sizes, examples and a random generator, never the configuration.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from loop.examples import Examples


@dataclasses.dataclass(frozen=True)
class Cycle:
    """One way to make the next training set. m is the size of D_0, b that of the incoming block."""

    name: str
    meaning: str  # what the next training set is, for tables
    renewal_share: float | None = None  # b / m unless `loop.renewal_share` says otherwise; None: b is always m
    has_memory: bool = False  # `next_set` needs all past blocks, not only the newest
    is_control: bool = False  # never trains on generated examples

    def block_size(self, m: int, renewal_share: float | None) -> int:
        """b, from m and `loop.renewal_share`."""
        if self.renewal_share is None:
            return m
        return round((self.renewal_share if renewal_share is None else renewal_share) * m)

    def train_size(self, m: int, b: int, generation: int) -> int:
        """Examples in D_t."""
        return m

    def fresh_ratio(self, ratio: float, generation: int) -> float:
        """φ of the block that generation t leaves behind, for a cell of this ratio."""
        return ratio

    def newest_share(self, renewal_share: float, generation: int) -> float | None:
        """The share of N_t in D_{t+1}, in expectation, whose rest is as D_t; None if D_{t+1} is no such mixture.

        What the mean field (eval/recursion.py) needs of a cycle. `renewal_share` is b / m.
        """
        return None

    def next_set(self, m: int, current: Examples, blocks: Sequence[Examples], rng: np.random.Generator) -> Examples:
        """D_{t+1} from D_t (`current`) and `blocks`: D_0, N_0, …, N_t, or at least N_t for cycles without memory."""
        raise NotImplementedError


def random_subset(examples: Examples, size: int, rng: np.random.Generator) -> Examples:
    """So many of the examples, without replacement, in random order."""
    return examples.take(rng.choice(len(examples), size, replace=False))
