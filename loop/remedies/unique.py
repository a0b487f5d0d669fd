"""No expression more often than a few times: deduplication, the plainest way to more diverse data (Lee et al.,
"Deduplicating Training Data Makes Language Models Better", arXiv 2107.06499; exact duplicates here).

Of c equal samples min(c, copies) stay, the ones that were written first.
"""

import dataclasses
from collections import Counter
from typing import ClassVar

import numpy as np

from loop.remedies.remedy import Pool, Selects, check_fill


@dataclasses.dataclass(frozen=True)
class Unique(Selects):
    """At most so many copies of an expression. `fill=repeat` then makes all expressions nearly equally frequent."""

    copies: int = 1
    fill: str = "repeat"

    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ValueError(f"copies = {self.copies}: allowed are integers from 1")
        check_fill(self.fill)

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        seen: Counter[bytes] = Counter()
        rows = []
        for row, e in enumerate(pool.samples.expressions):
            seen[e] += 1
            if seen[e] <= self.copies:
                rows.append(row)
        return np.array(rows, np.int64)
