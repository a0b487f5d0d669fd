"""One setting of a sweep on its way through the generations, beside the others that the same ensemble trains."""

import dataclasses
import threading
from collections.abc import Collection, Mapping
from typing import Any

from loop.cell import Cell
from loop.config import Config
from loop.outcome import Outcome
from loop.record import Measure, Recorder
from loop.resume import Loop, complete_rows, endings, rebuild, reload
from loop.self_likelihood import FIRST
from loop.storage.checksums import Damaged
from loop.storage.run_directory import RunDirectory
from loop.training import multihost
from loop.watch import Control


@dataclasses.dataclass
class Track:
    """A setting, its directory, and how far it is. Its cells have no `setting`; in the ensemble they have its name."""

    name: str  # of the setting
    config: Config
    directory: RunDirectory
    control: Control
    start: int = 0  # the first generation that is not complete
    loops: dict[Cell, Loop | None] = dataclasses.field(default_factory=dict)  # that go on; none at the end

    def find(self) -> bool:
        """Reads what is complete. Returns whether anything is left to do; cleans up what a kill has left if not."""
        self._found = self.directory.rows()
        multihost.check_equal(self._found, "the metrics in --workdir")
        self._rows = complete_rows(self.directory, self._found, self.config.cells(), self.warn)
        self.start = 1 + max((row["generation"] for row in self._rows), default=-1)
        ended = {Cell.of(row) for row in self._rows if "status" in row} >= set(self.config.cells())
        unfinished = self.start < self.config.loop.generations and not ended
        if not unfinished and multihost.is_writer():
            self.directory.drop_states(lambda t: t < self.start)  # killed between the last rows and this
            self.directory.prune(self.control.keep)
        return unfinished

    def resume(
        self, owner: Mapping[Cell, int], held: Collection[Cell], measure: Measure, stopping: threading.Event
    ) -> None:
        """Makes the loops again; measures a last generation that was written only.

        Args:
          owner: the process that measures each cell, of all settings.
          held: cells with their training sets here, likewise.
        """
        config, warn = self.config, self.warn
        start, self.loops = rebuild(
            config, self.directory, config.cells(), set(self.own(held)), self._rows, self.start, warn
        )
        rows = [row for row in self._rows if row["generation"] < start]
        if multihost.is_writer() and len(rows) < len(self._found):
            self.directory.write_rows(rows)  # at once: what is computed again must not count as complete
        self.start = start
        self.recorder = Recorder(config, self.directory, self.own(owner), measure, rows, self.control, stopping)
        written = reload(config, self.directory, self.loops, start, warn)
        if written is not None:  # killed after it was written
            self.recorder.complete(start, self.recorder.measure(start, written))
            self.advance(start, written)
        if self.start == config.loop.generations:
            self.loops = {}
        if self.loops and multihost.is_writer():
            self.directory.remove_from(self.start)  # of another past: not complete, damaged, or after something damaged

    def load_state(self, held: Collection[Cell], steps: Collection[int]) -> tuple[int, dict[Cell, dict]] | None:
        """(step, trees) of the newest state of the next generation at one of these steps, of what is held here.

        In generation 0 one cell works for all of its seed, and another one may have, on other devices.
        """
        mine, seeds = set(self.own(held)), {cell.seed for cell in held if self.start == 0}
        return self.directory.load_state(self.start, self.warn, lambda cell: cell in mine or cell.seed in seeds, steps)

    def first_model(self, cell: Cell) -> dict | None:
        """The parameters of generation 0 of one of the ensemble's cells; None if that has not gone by, if the cell does
        not go on, or if they are lost."""
        cell = cell.within("")
        if self.start == 0 or cell not in self.loops:
            return None
        try:
            return self.directory.load(cell, 0).params
        except (Damaged, KeyError) as error:
            self.warn(f"{error.args[0]}; {FIRST} of {cell.name} is left out from here on")
            return None

    def warn(self, line: str) -> None:
        """Says what is wrong with this setting's files."""
        self.control.warn(f"{self.name}: {line}" if self.name else line)

    def own(self, members: Any) -> Any:
        """Of a collection or a mapping of cells of all settings, those of this one, without it."""
        if isinstance(members, Mapping):
            return {cell.within(""): value for cell, value in members.items() if cell.setting == self.name}
        return [cell.within("") for cell in members if cell.setting == self.name]

    def ended(self) -> dict[Cell, Outcome]:
        """Of the cells that have no next training set, what the next generation ends with."""
        return endings(self.loops)

    def advance(self, generation: int, outcomes: Mapping[Cell, Outcome]) -> None:
        """Gives the loops that go on their next training sets."""
        self.loops = {cell: loop for cell, loop in self.loops.items() if outcomes[cell].status is None}
        for cell, loop in self.loops.items():
            if loop is not None:
                loop.advance(self.config, cell, generation, outcomes[cell].written)
        self.start = generation + 1
