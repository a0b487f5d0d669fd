"""Does correctness rise because hard samples die out? Its change is taken apart by the depth of the samples.

Axis: D depths.
"""

from typing import NamedTuple

import numpy as np


class ByDepth(NamedTuple):
    """The samples of each depth, from 0 on, and how many of them are correct; int64_D."""

    samples_D: np.ndarray
    correct_D: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Share of the samples at each depth, float64_D."""
        return self.samples_D / self.samples_D.sum()

    @property
    def correctness(self) -> float:
        """Share of all samples that are correct."""
        return float(self.correct_D.sum() / self.samples_D.sum())

    def to(self, size: int, fold: bool = False) -> "ByDepth":
        """As many depths; with `fold`, the last one stands for all that is deeper."""
        place_D = np.arange(len(self.samples_D))
        if fold:
            place_D = np.minimum(place_D, size - 1)
        return ByDepth(*(np.bincount(place_D, x_D, size).astype(np.int64) for x_D in self))


def pooled(parts: list[ByDepth]) -> ByDepth:
    """All samples together."""
    size = max(len(part.samples_D) for part in parts)
    return ByDepth(*(np.sum(x_SD, axis=0) for x_SD in zip(*(part.to(size) for part in parts), strict=True)))


class Change(NamedTuple):
    """A change of correctness and its two parts, whose sum it is, exactly."""

    total: float
    composition: float  # since depths became more or less frequent
    within: float  # since samples of equal depth became more or less often correct


def decompose(first: ByDepth, last: ByDepth) -> Change:
    """With shares w and correctness c by depth: composition is the sum of Δw c_first, within that of Δc w_last.

    Composition is what correctness would have changed by had samples of each depth stayed as often correct as at first.
    (Kitagawa's decomposition of 1955 takes means of both generations as weights: a depth that all but dies out is then
    weighed by the correctness of its few last samples.) Where a depth has no samples, its correctness counts as that of
    the other generation, so that all that it gives or takes by appearing or dying out is composition.
    """
    size = max(len(first.samples_D), len(last.samples_D))
    a, b = first.to(size), last.to(size)
    c_a, c_b = (x.correct_D / np.maximum(x.samples_D, 1) for x in (a, b))
    c_a = np.where(a.samples_D > 0, c_a, c_b)
    composition = float(((b.shares - a.shares) * c_a).sum())
    within = float(((c_b - c_a) * b.shares).sum())
    return Change(b.correctness - a.correctness, composition, within)
