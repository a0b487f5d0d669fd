"""Where a stopped run goes on: the loops' data, made again from what is on disk.

Every training set is a function of the first one and of the samples. Checkpoints of training sets only save time: where
one is damaged or was pruned, its training set is made again from older ones.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Set
from typing import Any

import numpy as np

from logic.errors import UsageError
from loop.blocks import Written, incoming_block, initial_training_set, next_training_set
from loop.cell import Cell
from loop.config import Config
from loop.cycles import CYCLES
from loop.examples import Examples
from loop.outcome import Outcome
from loop.remedies import reach
from loop.remedies.remedy import TooFewError
from loop.storage.checkpoints import Checkpoint
from loop.storage.checksums import Damaged
from loop.storage.run_directory import RunDirectory
from loop.training import multihost


@dataclasses.dataclass
class Loop:
    """One cell's data between two generations."""

    training_set: Examples  # D_t
    blocks: list[Examples]  # D_0, N_0, …, N_{t-1} for cycles with memory, else the newest of them
    past: list[Written] = dataclasses.field(default_factory=list)  # newest first: what remedies look back on
    ended: str | None = None  # why there is no next training set

    def advance(self, config: Config, cell: Cell, generation: int, written: Written) -> None:
        """Makes D_{t+1} of D_t and S_t, or ends here."""
        try:
            block = incoming_block(config, cell, generation, written, self.past)
        except TooFewError as error:
            self.ended = f"no training set: {error}"
            return
        self.past = [written, *self.past][: reach(cell.remedy) - 1]
        self.blocks = [*self.blocks, block] if CYCLES[cell.cycle].has_memory else [block]
        self.training_set = next_training_set(config, cell, generation, self.training_set, self.blocks)


def complete_rows(
    directory: RunDirectory, rows: list[dict[str, Any]], cells: list[Cell], warn: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The rows of complete generations: all, but for a last one of which the file has lost some.

    Raises UsageError where an earlier one is not complete, or has other cells than the sweep.
    """
    alive, begin, t = list(cells), 0, 0
    while begin < len(rows):
        here = rows[begin : begin + len(alive)]
        if not here or [Cell.of(row) for row in here] != alive[: len(here)] or any(r["generation"] != t for r in here):
            raise UsageError(f"{directory.path / 'metrics.jsonl'} is damaged: generation {t} is not as it was written")
        if len(here) < len(alive):
            warn(f"{directory.path / 'metrics.jsonl'} has lost rows: generation {t} is measured again")
            return rows[:begin]
        alive = [cell for cell, row in zip(alive, here, strict=True) if "status" not in row]
        begin, t = begin + len(here), t + 1
    return rows


def rebuild(
    config: Config,
    directory: RunDirectory,
    cells: list[Cell],
    held: Set[Cell],
    rows: list[dict[str, Any]],
    start: int,
    warn: Callable[[str], None],
) -> tuple[int, dict[Cell, Loop | None]]:
    """(t, the loops that go on, with D_t): t is `start`, or the earliest generation whose samples are damaged.

    A cell that is not `held` by this process has None.
    """
    while True:
        ended = {Cell.of(r) for r in rows if "status" in r and r["generation"] < start}
        loops: dict[Cell, Loop | None] = {}
        damaged = start
        for cell in cells:
            if cell not in ended:
                loops[cell] = None
                if cell in held:
                    loops[cell], reached = _rebuild_cell(config, directory, cell, start, warn)
                    damaged = min(damaged, reached)
        damaged = min(int(reached) for reached in multihost.gather(str(damaged).encode()))
        if damaged == start:
            return start, loops
        start = damaged
        warn(f"generation {start} and those after it are computed again")


def _rebuild_cell(
    config: Config, directory: RunDirectory, cell: Cell, start: int, warn: Callable[[str], None]
) -> tuple[Loop, int]:
    """D_start, or D_t of the first generation t whose samples are damaged."""
    begin, loop = 0, None
    if start > 0 and not CYCLES[cell.cycle].has_memory and reach(cell.remedy) == 1:
        begin, loop = _newest_checkpoint(directory, cell, start, warn)
    if loop is None:
        real = initial_training_set(config, cell.seed)
        loop = Loop(real, [real])
    for t in range(begin, start):
        try:
            stored = directory.read_samples(cell, t)
        except (Damaged, FileNotFoundError, KeyError) as error:
            warn(error.args[0])
            return loop, t
        samples = Examples.written(stored.expressions, t, loop.training_set)
        loop.advance(config, cell, t, Written(samples, stored.verdicts, stored.scores, stored.edited))
    return loop, start


def _newest_checkpoint(
    directory: RunDirectory, cell: Cell, start: int, warn: Callable[[str], None]
) -> tuple[int, Loop | None]:
    for t in reversed([t for t in directory.generations(cell) if t < start]):
        try:
            train = directory.load(cell, t).training_set
            return t, Loop(train, [train])
        except Damaged as error:
            warn(f"{error}; an older one is taken")
    return 0, None


def endings(loops: Mapping[Cell, Loop | None]) -> dict[Cell, Outcome]:
    """Of the cells that have no next training set, what their next generation ends with. All processes get all."""
    mine = [[cell.keys, loop.ended] for cell, loop in loops.items() if loop is not None and loop.ended]
    nothing = Examples.drawn([], 0)
    return {
        Cell(**keys): Outcome(Checkpoint({}, nothing, {}, np.zeros(0, np.float32)), nothing, {}, status=why)
        for part in multihost.gather(json.dumps(mine).encode())
        for keys, why in json.loads(part)
    }


def reload(
    config: Config,
    directory: RunDirectory,
    loops: Mapping[Cell, Loop | None],
    generation: int,
    warn: Callable[[str], None],
) -> dict[Cell, Outcome] | None:
    """A generation that was written but not measured; None if any of it is missing or damaged.

    A cell that this process does not hold has an outcome without content.
    """
    outcomes: dict[Cell, Outcome] | None = None
    ended = endings(loops)
    if directory.stored(generation):
        going = {cell: loop for cell, loop in loops.items() if cell not in ended}
        outcomes = _read_outcomes(config, directory, going, generation, warn)
        if outcomes is not None:
            outcomes = {cell: ended.get(cell) or outcomes[cell] for cell in loops}
    return outcomes if all(multihost.gather(b"" if outcomes is None else b"complete")) else None


def _read_outcomes(
    config: Config,
    directory: RunDirectory,
    loops: Mapping[Cell, Loop | None],
    generation: int,
    warn: Callable[[str], None],
) -> dict[Cell, Outcome] | None:
    nothing = Examples.drawn([], generation)
    outcomes = {}
    for cell, loop in loops.items():
        if loop is None:
            outcomes[cell] = Outcome(Checkpoint({}, nothing, {}, np.zeros(0, np.float32)), nothing, {})
            continue
        try:
            trained = directory.load(cell, generation)
            stored = directory.read_samples(cell, generation)
        except KeyError:
            return None
        except Damaged as error:
            warn(f"{error}; generation {generation} is computed again")
            return None
        if trained.training_set != loop.training_set:
            warn(
                f"checkpoint {generation} of {cell.name} is of another past; generation {generation} is computed again"
            )
            return None
        samples = Examples.written(stored.expressions, generation, loop.training_set)
        outcomes[cell] = Outcome(trained, samples, stored.verdicts, scores=stored.scores, edited=stored.edited)
    return outcomes
