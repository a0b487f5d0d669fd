"""The training state within a generation: its newest two complete checkpoints, so that one may be damaged.

state/generation_0007_step_00001200/CELL/     orbax: whatever the loop needs to go on from that step
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from eval.cell import Cell
from eval.orbax_files import Writer, read_record, read_tree
from eval.sealed import Damaged, Sealed

KEPT = 2
_NAME = re.compile(r"generation_(\d+)_step_(\d+)")

At = tuple[int, int]  # generation, steps taken in it


@dataclasses.dataclass
class States:
    """All states of a run. `seals` is where their checksums lie."""

    directory: Path
    seals: Path
    writer: Writer = dataclasses.field(default_factory=lambda: Writer("state"))

    def save(self, at: At, cells: Mapping[Cell, dict]) -> None:
        """Begins to write a state, once the one before is complete; older ones are removed when it is."""
        record = {cell.name: cell.keys for cell in cells}  # names have rounded ratios
        trees = {cell.name: tree for cell, tree in cells.items()}
        self.writer.begin(self._sealed(at), trees, record, then=self._keep_newest)

    def load(
        self, warn: Callable[[str], None], wanted: Callable[[Cell], bool]
    ) -> tuple[int, int, dict[Cell, dict]] | None:
        """The newest complete state that is undamaged, of the cells that are wanted; `warn` hears of newer ones."""
        complete = [at for at in self._all() if self._sealed(at).exists()]
        for at in sorted(complete, reverse=True):
            sealed = self._sealed(at)
            try:
                sealed.check()
                cells = {name: Cell(**keys) for name, keys in read_record(sealed).items()}
                return *at, {cell: read_tree(sealed, name) for name, cell in cells.items() if wanted(cell)}
            except Damaged as error:
                older = [a for a in complete if a < at]
                instead = f"that of generation {max(older)[0]}, step {max(older)[1]}," if older else "none"
                warn(f"{error}; of the states before it, {instead} is taken")
        return None

    def drop(self, before_generation: int) -> None:
        """Removes the states of earlier generations, complete or not, once what is being written is complete."""

        def remove() -> None:
            for at in self._all():
                if at[0] < before_generation:
                    self._sealed(at).remove()

        if any(at[0] < before_generation for at in self._all()):
            self.writer.after(remove)

    def _keep_newest(self) -> None:
        complete = sorted(at for at in self._all() if self._sealed(at).exists())
        for at in self._all():
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
