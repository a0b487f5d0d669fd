"""A cell of a sweep."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Cell:
    """One self-consuming loop: everything else is shared by its sweep."""

    cycle: str  # how the next training set is made; see loop/cycles.py
    fresh_ratio: float  # φ, share of fresh real data in every incoming block
    seed: int  # of all its random streams

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Cell":
        """The cell that a row of a table is about."""
        return cls(row["cycle"], row["fresh_ratio"], row["seed"])

    @property
    def name(self) -> str:
        """For files and messages: `full_fresh0.25_seed0`."""
        return f"{self.cycle}_fresh{self.fresh_ratio:g}_seed{self.seed}"

    @property
    def keys(self) -> dict[str, Any]:
        """The cell's columns in every table."""
        return dataclasses.asdict(self)


KEYS = (*(field.name for field in dataclasses.fields(Cell)), "generation")  # of a row of a table
