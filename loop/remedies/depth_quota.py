"""The block's depths in the proportions of the real distribution, which only a known language can tell: an upper bound
of what a selection that watches one feature of the data could do.

With P(k) the probability of depth k under R and w samples wanted, w P(k) of depth k are taken, rounded so that the sum
is w (largest remainders first). Depths that no sample has leave their share to the others. Where a depth has fewer
samples than its share, they are repeated.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from loop.remedies.remedy import DEPTH, Pool, Selects, settle


@dataclasses.dataclass(frozen=True)
class DepthQuota(Selects):
    """Stratifies the samples by depth; samples of a depth that R does not have, or of none, are left out."""

    fill: str = "repeat"  # within each depth: repeat, or end

    needs: ClassVar[tuple[str, ...]] = (DEPTH,)

    def __post_init__(self) -> None:
        if self.fill not in ("repeat", "end"):
            raise ValueError(f"fill = {self.fill}: allowed are repeat, end")

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        statistic = next(s for s in pool.language.statistics if s.name == "depth")
        depth_N = statistic.values(pool.samples.expressions)
        rows_of = [np.flatnonzero(depth_N == k) for k in range(len(statistic.distribution))]
        quota = quotas(np.where([len(rows) > 0 for rows in rows_of], statistic.distribution, 0.0), wanted)
        chosen = [
            settle(pool.take(r), np.arange(len(r)), q, self.fill, rng) for r, q in zip(rows_of, quota, strict=True)
        ]
        return np.concatenate([rows[c] for rows, c in zip(rows_of, chosen, strict=True)])


def quotas(weights: np.ndarray, total: int) -> list[int]:
    """Whole numbers in these proportions that sum to `total`; none where no weight is above 0."""
    if not weights.sum() > 0:
        return [0] * len(weights)
    exact = total * weights / weights.sum()
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return whole.tolist()
