"""Cells for tests that need no more than their seeds."""

from collections.abc import Iterable

from loop.cell import Cell


def of_seeds(seeds: Iterable[int]) -> list[Cell]:
    """One cell of every seed."""
    return [Cell("full", 0.0, seed) for seed in seeds]
