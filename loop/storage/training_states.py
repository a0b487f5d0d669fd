"""The training state within a generation: its newest two complete checkpoints, so that one may be damaged.

Those of two generations lie side by side while the earlier one is still being written.

state/generation_0007_step_00001200/CELL/     orbax: whatever the loop needs to go on from that step
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from loop.cell import Cell
from loop.storage.checksums import Damaged, Sealed
from loop.storage.orbax_io import Writer, read_record, read_tree

KEPT = 2
_NAME = re.compile(r"generation_(\d+)_step_(\d+)")

At = tuple[int, int]  # generation, steps taken in it


@dataclasses.dataclass
class States:
    """All states of a run. `seals` is where their checksums lie."""

    directory: Path
    seals: Path
    writer: Writer = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer.of(self.directory)

    def save(self, at: At, cells: Mapping[Cell, dict]) -> None:
        """Begins to write a state, once the one before is complete; older ones are removed when it is."""
        record = {cell.name: cell.keys for cell in cells}  # names have rounded ratios
        trees = {cell.name: tree for cell, tree in cells.items()}
        self.writer.begin(self._sealed(at), trees, record, then=lambda: self._keep_newest(at))

    def load(
        self, generation: int, warn: Callable[[str], None], wanted: Callable[[Cell], bool], steps: Collection[int]
    ) -> tuple[int, dict[Cell, dict]] | None:
        """(step, trees) of the newest undamaged state of a generation at one of these steps, of the cells wanted;
        `warn` hears of newer ones."""
        complete = sorted((generation, step) for step in self.steps(generation) if step in steps)
        for at in reversed(complete):
            sealed = self._sealed(at)
            try:
                sealed.check()
                cells = {name: Cell(**keys) for name, keys in read_record(sealed).items()}
                return at[1], {cell: read_tree(sealed, name) for name, cell in cells.items() if wanted(cell)}
            except Damaged as error:
                older = [a for a in complete if a < at]
                instead = f"that of step {max(older)[1]}" if older else "none"
                warn(f"{error}; of the states before it, {instead} is taken")
        return None

    def steps(self, generation: int) -> set[int]:
        """Where in a generation there are complete states."""
        return {at[1] for at in self._all() if at[0] == generation and self._sealed(at).exists()}

    def drop(self, unwanted: Callable[[int], bool]) -> None:
        """Removes the states of such generations, complete or not, once what is being written is complete."""

        def remove() -> None:
            for at in self._all():
                if unwanted(at[0]):
                    self._sealed(at).remove()

        if any(unwanted(at[0]) for at in self._all()):
            self.writer.after(remove)

    def _keep_newest(self, newest: At) -> None:
        """Of this generation. Others are not touched: the one before may not be stored yet."""
        same = [at for at in self._all() if at[0] == newest[0]]
        complete = [at for at in same if self._sealed(at).exists()]
        for at in same:
            if at < complete[-KEPT:][0]:
                self._sealed(at).remove()

    def _sealed(self, at: At) -> Sealed:
        name = "generation_{:04d}_step_{:08d}".format(*at)
        return Sealed(self.directory / name, self.seals / f"state_{name}.json")

    def _all(self) -> list[At]:
        """All states that have a directory or a manifest, complete or not."""
        names = [p.name for folder in (self.directory, self.seals) if folder.is_dir() for p in folder.iterdir()]
        found = [re.fullmatch(rf"(?:state_)?{_NAME.pattern}(?:\.json)?", name) for name in names]
        return sorted({(int(match[1]), int(match[2])) for match in found if match})
