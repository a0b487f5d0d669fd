"""What becomes of a finished generation: it is written, measured by a function that the loop is given, and recorded."""

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from loop.cell import Cell
from loop.config import Config
from loop.outcome import Outcome
from loop.storage.run_directory import RunDirectory
from loop.training import multihost
from loop.watch import Control, Stopped


class Measurement(NamedTuple):
    """What is recorded of one cell and generation, ready for JSON."""

    row: dict[str, Any]  # the columns of metrics.csv besides the keys
    anatomy: dict[str, Any]  # what the report shows of the samples


Measure = Callable[[Config, Cell, int, Outcome], Measurement]
Measured = tuple[list[dict[str, Any]], list[dict[str, Any]]]  # rows and anatomies of a generation


@dataclasses.dataclass
class Recorder:
    """Writes and measures the generations of a sweep, while the next one trains."""

    config: Config
    directory: RunDirectory
    owner: Mapping[Cell, int]  # the process that measures each cell
    measure_one: Measure
    rows: list[dict[str, Any]]  # of all complete generations
    control: Control
    stopping: threading.Event  # several processes agreed on it

    def write(self, generation: int, outcomes: Mapping[Cell, Outcome]) -> None:
        """Writes a generation.

        The curves come first: once samples and checkpoint are there, a run that was killed only measures.
        """
        curves = {cell: outcome.curve for cell, outcome in outcomes.items() if len(outcome.curve)}
        if curves and multihost.is_writer():
            self.directory.write_curves(generation, curves)
        alive = {cell: outcome for cell, outcome in outcomes.items() if outcome.status is None}
        if alive:
            if multihost.is_writer():
                samples = {cell: (o.samples.expressions, o.verdicts, o.scores, o.edited) for cell, o in alive.items()}
                self.directory.write_samples(generation, samples)
            self.directory.save(generation, {cell: outcome.trained for cell, outcome in alive.items()})
            self.directory.wait()

    def commit(self, generation: int, outcomes: Mapping[Cell, Outcome]) -> Measured:
        """Measures what is written. Of several processes, the main threads then have to `settle` it."""
        measured = self.measure(generation, outcomes)
        if multihost.alone():
            self._write(generation, measured)
        return measured

    def measure(self, generation: int, outcomes: Mapping[Cell, Outcome]) -> Measured:
        """Rows and anatomies of the cells that this process owns."""
        rows, anatomies = [], []
        for cell in self.config.cells():
            if cell not in outcomes or self.owner[cell] != jax.process_index():
                continue
            if self.control.stop() if multihost.alone() else self.stopping.is_set():
                raise Stopped  # it is written: the next start measures it
            outcome, row = outcomes[cell], {**cell.keys, "generation": generation}
            if outcome.status is None:
                found = self.measure_one(self.config, cell, generation, outcome)
                rows.append({**row, **found.row})
                anatomies.append({**row, **found.anatomy})
            else:
                rows.append({**row, "status": outcome.status})
        return rows, anatomies

    def settle(self, generation: int, measured: Measured) -> None:
        """Brings what several processes have measured to the one that writes."""
        if not multihost.alone():
            self.complete(generation, measured)

    def complete(self, generation: int, measured: Measured) -> None:
        """Writes what all processes have measured."""
        everything = [json.loads(part) for part in multihost.gather(json.dumps(measured).encode())]
        if multihost.is_writer():
            order = {cell: i for i, cell in enumerate(self.config.cells())}
            rows, anatomies = (
                sorted((entry for part in everything for entry in part[kind]), key=lambda entry: order[Cell.of(entry)])
                for kind in (0, 1)
            )
            self._write(generation, (rows, anatomies))

    def _write(self, generation: int, measured: Measured) -> None:
        """The rows come last and make the generation complete."""
        rows, anatomies = measured
        if anatomies:
            self.directory.write_anatomy(generation, anatomies)
        self.rows += rows
        self.directory.write_rows(self.rows)
        self.directory.drop_states(lambda t: t <= generation)
        self.directory.prune(self.control.keep)
        self.control.recorded(self.directory, generation)
