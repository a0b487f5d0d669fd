"""The experiment: all generations of all cells, from an empty directory or from where a run stopped.

Several processes run it together. Each trains, samples and measures the cells on its own devices; the first one writes.
"""

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from eval.measures.anatomy import anatomy
from eval.measures.observation import Observation
from eval.measures.registry import Row, measure
from logic.boolean.language import Boolean
from logic.boolean.verifier import verify
from loop.cell import Cell
from loop.config import Config
from loop.cycles import held_out_expressions
from loop.generation import run_generation
from loop.outcome import Outcome
from loop.resume import Loop, complete_rows, rebuild, reload
from loop.storage.run_directory import RunDirectory
from loop.storage.samples import Samples
from loop.streams import Purpose, generator
from loop.training import multihost
from loop.training.ensemble import Ensemble
from loop.training.mesh import parse_mesh
from loop.watch import Control, Stopped, Watch

Measured = tuple[list[Row], list[dict[str, Any]]]  # rows and anatomies of a generation


def run(config: Config, directory: RunDirectory, control: Control = Control()) -> None:
    """Runs the sweep to its end, from wherever `directory` has got to.

    While a generation trains, the one before is verified, written and measured in a second thread; a generation
    is complete once its rows are in the metrics. Raises `Stopped` if `control` asks for it.
    """
    cells = config.cells()
    found = directory.rows()
    settings = [dataclasses.asdict(config), control.members, control.mesh]
    multihost.check_equal(settings, "the configuration, --members or --mesh")
    multihost.check_equal(found, "the metrics in --workdir")
    rows = complete_rows(directory, found, cells, control.warn)
    first = 1 + max((row["generation"] for row in rows), default=-1)
    if first == config.loop.generations or _all_ended(rows, cells):
        if multihost.first():
            directory.drop_states(lambda t: t < first)  # killed between the last rows and this
            directory.prune(control.keep)
        return
    mesh = parse_mesh(control.mesh, len(cells), len(jax.devices()), config.train.batch_size)
    ensemble = Ensemble(config, [cell.seed for cell in cells], control.members, mesh)
    held = {cell for cell, here in zip(cells, ensemble.held, strict=True) if here}
    first, loops = rebuild(config, directory, cells, held, rows, first, control.warn)
    rows = [row for row in rows if row["generation"] < first]
    if multihost.first() and len(rows) < len(found):
        directory.write_rows(rows)  # at once: what is computed again must not count as complete
    sweep = _Sweep(config, directory, ensemble, rows, control)
    measured = reload(config, directory, loops, first, control.warn)
    if measured is not None:  # killed after it was written
        sweep.complete(first, sweep.measure(first, measured))
        loops = _advance(config, loops, first, measured)
        first += 1
    if first == config.loop.generations or not loops:
        multihost.barrier("run")
        return
    seeds = {cell.seed for cell in held}
    state = directory.load_state(first, control.warn, lambda c: c in held or (first == 0 and c.seed in seeds))
    multihost.check_equal(state and state[0], "the saved states in --workdir")
    saved = state and state[1]
    if multihost.first():
        directory.drop_states(lambda t: t > first)  # they follow from another past, or will be made again
    watch = Watch(config, directory, first, control, sweep.stopping)
    commit: Future[Measured] | None = None
    with _background() as background, _whole(lambda: commit):
        for t in range(first, config.loop.generations):
            watch.begin()
            watch.commit = commit
            training_sets = {cell: loop.training_set if loop else None for cell, loop in loops.items()}
            outcomes = run_generation(config, ensemble, cells, t, training_sets, watch.of(t), saved)
            saved = None
            if commit is not None:
                sweep.settle(t - 1, commit.result())
            commit = background.submit(sweep.commit, t, outcomes)
            loops = _advance(config, loops, t, outcomes)
            if not loops:
                break
        if commit is not None:
            sweep.settle(t, commit.result())
    directory.wait()
    multihost.barrier("run")


@contextlib.contextmanager
def _background() -> Iterator[ThreadPoolExecutor]:
    """A second thread. What it has begun is finished first, whatever happens; unless it waits for a lost process."""
    background = ThreadPoolExecutor(max_workers=1)
    wait = multihost.alone()
    try:
        yield background
        wait = True
    except Stopped:
        wait = True
        raise
    finally:
        background.shutdown(wait=wait, cancel_futures=True)


@contextlib.contextmanager
def _whole(commit: Callable[[], Future[Measured] | None]) -> Iterator[None]:
    """A run that stops has written what it said; if that failed, this is what it ends with."""
    try:
        yield
    except Stopped:
        last = commit()
        if last is not None:
            last.result()
        raise


def _all_ended(rows: list[Row], cells: list[Cell]) -> bool:
    return {Cell.of(row) for row in rows if "status" in row} >= set(cells)


def _advance(
    config: Config, loops: Mapping[Cell, Loop | None], generation: int, outcomes: Mapping[Cell, Outcome]
) -> dict[Cell, Loop | None]:
    """The loops that go on, each with its next training set."""
    alive = {cell: loop for cell, loop in loops.items() if outcomes[cell].status is None}
    for cell, loop in alive.items():
        if loop is not None:
            loop.advance(config, cell, generation, outcomes[cell].samples)
    return alive


@dataclasses.dataclass
class _Sweep:
    """Writes and measures what the generations end with."""

    config: Config
    directory: RunDirectory
    ensemble: Ensemble
    rows: list[Row]  # of all complete generations
    control: Control
    stopping: threading.Event = dataclasses.field(
        default_factory=threading.Event
    )  # several processes have agreed on it

    def commit(self, generation: int, outcomes: Mapping[Cell, Outcome]) -> Measured:
        """Writes a generation, then measures it. Of several processes, the main threads then have to `settle` it."""
        alive = {cell: outcome for cell, outcome in outcomes.items() if outcome.status is None}
        if alive:
            if multihost.first():
                samples = {cell: _verified(self.config, generation, cell, outcome) for cell, outcome in alive.items()}
                self.directory.write_samples(generation, samples)
            self.directory.save(generation, {cell: outcome.trained for cell, outcome in alive.items()})
            self.directory.wait()
        measured = self.measure(generation, outcomes)
        if multihost.alone():
            self._write(generation, measured)
        return measured

    def measure(self, generation: int, outcomes: Mapping[Cell, Outcome]) -> Measured:
        """Rows and anatomies of the cells whose home is here."""
        rows, anatomies = [], []
        for cell, home in zip(self.config.cells(), self.ensemble.home, strict=True):
            if cell not in outcomes or home != jax.process_index():
                continue
            if self.control.stop() if multihost.alone() else self.stopping.is_set():
                raise Stopped  # it is written: the next start measures it
            outcome = outcomes[cell]
            row = {**cell.keys, "generation": generation}
            if outcome.status is None:
                samples = _verified(self.config, generation, cell, outcome)
                rows.append({**row, **_measure(self.config, generation, cell, outcome, samples)})
                language = Boolean(**dataclasses.asdict(self.config.language))
                training_set = outcome.trained.training_set
                parts = anatomy(outcome.samples, samples.verdicts._asdict(), training_set, language)
                anatomies.append({**row, **parts})
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
        if multihost.first():
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


def _verified(config: Config, generation: int, cell: Cell, outcome: Outcome) -> Samples:
    expressions = outcome.samples.expressions
    verdicts = verify(expressions, config.language)
    return Samples(expressions=expressions, verdicts=verdicts, generation=generation, **cell.keys)


def _measure(config: Config, generation: int, cell: Cell, outcome: Outcome, samples: Samples) -> Row:
    trained = outcome.trained
    observation = Observation(
        language=Boolean(**dataclasses.asdict(config.language)),
        samples=outcome.samples,
        verdicts=samples.verdicts._asdict(),
        training_set=trained.training_set,
        held_out=held_out_expressions(config),
        held_out_nll=trained.held_out_nll,
        counters=trained.counters,
        subsets=generator(cell.seed, generation, Purpose.MEASURE),
        subset_size=config.loop.num_examples,
    )
    return measure(observation)
