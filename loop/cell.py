"""A cell of a sweep, and the cells in shards."""

import dataclasses
import itertools
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any

TRANSFORMER = "transformer"  # the learner that the ensemble trains
NO_REMEDY = "none"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One self-consuming loop: everything else is shared by its sweep."""

    cycle: str  # how the next training set is made; see loop/cycles
    fresh_ratio: float  # φ, share of fresh real data in every incoming block
    seed: int  # of all its random streams
    learner: str = TRANSFORMER  # who learns: the network, or a reference learner; see loop/learners
    remedy: str = NO_REMEDY  # what is tried against the collapse; see loop/remedies
    setting: str = ""  # of the sweep's axes, while several run side by side; in files, the directory says it

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Cell":
        """The cell that a row of a table is about."""
        return cls(**{name: kind(row[name]) for name, kind in KINDS.items() if name in row})

    def within(self, setting: str) -> "Cell":
        """The same cell in a setting."""
        return dataclasses.replace(self, setting=setting)

    @property
    def name(self) -> str:
        """For files and messages: `full_fresh0.25_seed0`, `full_fresh0.25_seed0_ngram-order-3_unique-copies-2`."""
        unusual = [] if self.is_network else [self.learner]
        unusual += [] if self.remedy == NO_REMEDY else [self.remedy]
        spelled = ["_" + re.sub(r"[^\w.]+", "-", spelling).strip("-") for spelling in unusual]
        return f"{self.cycle}_fresh{self.fresh_ratio:g}_seed{self.seed}{''.join(spelled)}"

    @property
    def is_network(self) -> bool:
        """Whether the ensemble trains it."""
        return self.learner == TRANSFORMER

    @property
    def keys(self) -> dict[str, Any]:
        """The cell's columns in every table."""
        return {name: getattr(self, name) for name in KINDS}


KINDS = {name: kind for name, kind in typing.get_type_hints(Cell).items() if name != "setting"}  # of a cell's columns
KEYS = (*KINDS, "generation")  # of a row of a table


def split(cells: Sequence[Cell], count: int) -> list[list[Cell]]:
    """The cells in `count` shards, one for each of several processes without any connection; their sizes differ
    by one at most, each in the order of `cells`.

    Cells of equal seed compute generation 0 once if they share a process: sorted by seed and cut into runs, they lie
    in as few shards as equal sizes allow. The result depends on nothing but the arguments.
    """
    first_seen = {seed: i for i, seed in enumerate(dict.fromkeys(cell.seed for cell in cells))}
    by_seed = sorted(cells, key=lambda cell: first_seen[cell.seed])  # stable
    cuts = [len(cells) * i // count for i in range(count + 1)]
    place = {cell: i for i, cell in enumerate(cells)}
    return [sorted(by_seed[a:b], key=place.__getitem__) for a, b in itertools.pairwise(cuts)]
