"""The samples of the highest entropy rate, which needs no model: the match-length estimator of Kontoyiannis, Algoet,
Suhov and Wyner ("Nonparametric entropy estimation for stationary processes and random fields, with applications to
English text", IEEE Transactions on Information Theory 44, 1998).

For a sample of n symbols, with L_i the length of the shortest string that begins at place i and does not lie whole
within the places before i (n - i + 1 if all strings that begin there do),

    H = n log(n) / (L_0 + ... + L_{n-1})    nats per symbol.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from loop.remedies.remedy import Pool, Selects, check_fill


@dataclasses.dataclass(frozen=True)
class EntropyRate(Selects):
    """The samples whose symbols repeat themselves least."""

    fill: str = "repeat"

    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_fill(self.fill)

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        rate = {e: entropy_rate(e) for e in set(pool.samples.expressions)}
        rate_N = np.array([rate[e] for e in pool.samples.expressions])
        order_N = rng.permutation(len(pool))  # many samples tie
        return order_N[np.argsort(-rate_N[order_N], kind="stable")][:wanted]


def entropy_rate(sample: bytes) -> float:
    """H in nats per symbol; 0 for less than two symbols."""
    n = len(sample)
    if n < 2:
        return 0.0
    total, match = 0, 0
    for i in range(n):
        match = max(match - 1, 0)  # what begins one place later matches at least so far
        while i + match < n and sample[i : i + match + 1] in sample[:i]:
            match += 1
        total += match + 1
    return n * float(np.log(n)) / total
