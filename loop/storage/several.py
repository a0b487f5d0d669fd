"""Several directories with different cells, read as one run: each cell's files are in the directory that owns it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loop.cell import Cell
from loop.storage.checkpoints import Checkpoint
from loop.storage.reader import RunReader

if TYPE_CHECKING:
    from loop.storage.samples import Samples


class SeveralDirectories(RunReader):
    """Reads like one run's directory."""

    def __init__(self, path: str | Path, parts: Sequence[RunReader], owner: Mapping[str, int]):
        """`owner` is the part of every cell, by its name, in the order of the cells; config.json is that of `path`."""
        super().__init__(path)
        self.parts = list(parts)
        self.owner = owner
        self._order = {name: i for i, name in enumerate(owner)}

    def directory_of(self, cell: Cell) -> RunReader:
        """The directory with a cell's files; for a cell of another run, one that has none."""
        owner = self.owner.get(cell.name)
        return RunReader(self.path) if owner is None else self.parts[owner]

    def shard_directories(self) -> list[RunReader]:
        return [directory for part in self.parts for directory in part.shard_directories()]

    def rows(self) -> list[dict[str, Any]]:
        """All rows of all parts, as they are now, in the order of a run in one go."""
        rows = [row for i, part in enumerate(self.parts) for row in self._owned(i, part.rows())]
        return sorted(rows, key=lambda row: (row["generation"], self._place(row)))

    def has_samples(self, generation: int) -> bool:
        return any(part.has_samples(generation) for part in self.parts)

    def read_samples(self, cell: Cell, generation: int) -> "Samples":
        return self.directory_of(cell).read_samples(cell, generation)

    def read_anatomy(self, generation: int) -> list[dict[str, Any]]:
        found = [a for i, part in enumerate(self.parts) for a in self._owned(i, part.read_anatomy(generation))]
        return sorted(found, key=self._place)

    def read_curves(self, generation: int) -> dict[Cell, np.ndarray]:
        found = [
            (cell, curve)
            for i, part in enumerate(self.parts)
            for cell, curve in part.read_curves(generation).items()
            if self.owner.get(cell.name) == i
        ]
        return dict(sorted(found, key=lambda item: self._order[item[0].name]))

    def checkpoints(self) -> list[int]:
        return sorted({generation for part in self.parts for generation in part.checkpoints()})

    def generations(self, cell: Cell) -> list[int]:
        return self.directory_of(cell).generations(cell)

    def load(self, cell: Cell, generation: int) -> Checkpoint:
        return self.directory_of(cell).load(cell, generation)

    def _owned(self, part: int, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [entry for entry in entries if self.owner.get(Cell.of(entry).name) == part]

    def _place(self, entry: Mapping[str, Any]) -> int:
        """Where an entry's cell stands in the order of the cells."""
        return self._order[Cell.of(entry).name]
