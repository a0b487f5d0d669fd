"""The experiment: all generations of all cells, from an empty directory or from where a run stopped."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import jax

from eval.anatomy import anatomy
from eval.cell import Cell
from eval.measures import COLUMNS, Row, measure_change, measure_model, measure_samples, measure_training_set
from eval.run_directory import RunDirectory
from logic.dataset import Samples
from logic.verifier import verify
from loop.config import Config
from loop.cycles import held_out_expressions
from loop.ensemble import Ensemble
from loop.generation import Outcome, Snapshot, TrainingProgress, run_generation
from loop.mesh import parse_mesh
from loop.resume import Loop, rebuild, reload
from model.streams import Purpose, generator


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where the sweep stands."""

    generation: int
    generations: int
    step: int
    max_steps: int
    loss: float  # nats per symbol, mean over cells
    tokens_per_second: float  # all cells together
    seconds_left: float  # of the whole sweep


class Stopped(Exception):  # noqa: N818 (no error: it was asked for)
    """The run has stopped as it was asked to; everything is saved."""


@dataclasses.dataclass(frozen=True)
class Control:
    """How a run is watched, saved and stopped; none of it changes a result."""

    members: str = "auto"  # how a device takes its cells; see loop/ensemble.py
    mesh: str = "auto"  # which devices share a cell; see loop/mesh.py
    tell: Callable[[Progress], None] = lambda progress: None
    warn: Callable[[str], None] = lambda line: None  # of damage that was met and made good
    stop: Callable[[], bool] = lambda: False  # asked after every chunk of steps
    save_seconds: float = 600.0  # training between two saved states; a generation that takes less saves none
    keep: str = "all"  # checkpoints of generations; see RunDirectory.prune


def run(config: Config, directory: RunDirectory, control: Control = Control()) -> None:
    """Runs the sweep to its end, from wherever `directory` has got to.

    While a generation trains, the one before is verified, written and measured in a second thread; a generation
    is complete once its rows are in the metrics. Raises `Stopped` if `control` asks for it.
    """
    cells = config.cells()
    rows = directory.rows()
    first = 1 + max((row["generation"] for row in rows), default=-1)
    if first == config.loop.generations or _all_ended(rows, cells):
        directory.drop_states(before_generation=first)  # killed between the last rows and this
        directory.prune(control.keep)
        return
    first, loops = rebuild(config, directory, cells, rows, first, control.warn)
    rows = [row for row in rows if row["generation"] < first]
    measured = reload(config, directory, loops, first)
    if measured is not None:  # killed after it was written
        _measure_all(config, directory, first, measured, rows, control)
        loops = _advance(config, loops, first, measured)
        first += 1
    if first == config.loop.generations or not loops:
        return
    found = directory.load_state(control.warn)
    saved = found[2] if found is not None and found[0] == first else None
    mesh = parse_mesh(control.mesh, len(cells), len(jax.devices()), config.train.batch_size)
    ensemble = Ensemble(config, [cell.seed for cell in cells], control.members, mesh)
    watch = _Watch(config, directory, first, control)
    with ThreadPoolExecutor(max_workers=1) as background:
        commit: Future[None] | None = None
        for t in range(first, config.loop.generations):
            training_sets = {cell: loop.training_set for cell, loop in loops.items()}
            outcomes = run_generation(config, ensemble, cells, t, training_sets, watch.of(t), saved)
            saved = None
            if commit is not None:
                commit.result()
            commit = background.submit(_commit, config, directory, t, outcomes, rows, control)
            loops = _advance(config, loops, t, outcomes)
            if not loops:
                break
        if commit is not None:
            commit.result()
    directory.wait()


def _all_ended(rows: list[Row], cells: list[Cell]) -> bool:
    return {Cell.of(row) for row in rows if "status" in row} >= set(cells)


def _advance(
    config: Config, loops: Mapping[Cell, Loop], generation: int, outcomes: Mapping[Cell, Outcome]
) -> dict[Cell, Loop]:
    """The loops that go on, each with its next training set."""
    alive = {cell: loop for cell, loop in loops.items() if outcomes[cell].status is None}
    for cell, loop in alive.items():
        loop.advance(config, cell, generation, outcomes[cell].samples)
    return alive


def _commit(
    config: Config,
    directory: RunDirectory,
    generation: int,
    outcomes: dict[Cell, Outcome],
    rows: list[Row],
    control: Control,
) -> None:
    """Writes a generation, then measures it."""
    alive = {cell: outcome for cell, outcome in outcomes.items() if outcome.status is None}
    if alive:
        samples = {cell: _verified(config, generation, cell, outcome) for cell, outcome in alive.items()}
        directory.write_samples(generation, samples)
        directory.save(generation, {cell: outcome.trained for cell, outcome in alive.items()})
        directory.wait()
    _measure_all(config, directory, generation, outcomes, rows, control)


def _measure_all(
    config: Config,
    directory: RunDirectory,
    generation: int,
    outcomes: Mapping[Cell, Outcome],
    rows: list[Row],
    control: Control,
) -> None:
    """Measures a generation; its rows come last and make it complete."""
    new, anatomies = [], []
    for cell, outcome in outcomes.items():
        if control.stop():
            raise Stopped  # it is written: the next start measures it
        row = {**cell.keys, "generation": generation}
        if outcome.status is None:
            samples = _verified(config, generation, cell, outcome)
            new.append({**row, **_measure(config, generation, cell, outcome, samples)})
            parts = anatomy(outcome.samples, samples.verdicts, outcome.trained.training_set, config.language)
            anatomies.append({**row, **parts})
        else:
            new.append({**row, "status": outcome.status})
    if anatomies:
        directory.write_anatomy(generation, anatomies)
    rows += new
    directory.write_rows(rows)
    directory.drop_states(before_generation=generation + 1)
    directory.prune(control.keep)


def _verified(config: Config, generation: int, cell: Cell, outcome: Outcome) -> Samples:
    expressions = outcome.samples.expressions
    verdicts = verify(expressions, config.language)
    return Samples(expressions=expressions, verdicts=verdicts, generation=generation, **cell.keys)


def _measure(config: Config, generation: int, cell: Cell, outcome: Outcome, samples: Samples) -> Row:
    trained = outcome.trained
    rng = generator(cell.seed, generation, Purpose.MEASURE)
    return {
        **measure_samples(samples.expressions, samples.verdicts, config.language),
        **measure_change(outcome.samples, trained.training_set),
        **measure_training_set(trained.training_set, rng, config.loop.num_examples),
        **measure_model(trained.held_out_nll, held_out_expressions(config), config.language),
        **{name: trained.counters[name] for name in COLUMNS if name in trained.counters},  # orbax sorts them
    }


class _Watch:
    """What happens between two chunks of steps: progress is told, the state is saved, the run may stop."""

    def __init__(self, config: Config, directory: RunDirectory, first: int, control: Control):
        self.config, self.directory, self.first, self.control = config, directory, first, control
        self.start = self.since = self.saved = time.monotonic()
        self.tokens = 0

    def of(self, generation: int) -> Callable[[TrainingProgress, Snapshot], None]:
        """The watch of one generation."""
        self.saved = time.monotonic()

        def between(progress: TrainingProgress, snapshot: Snapshot) -> None:
            self.tell(generation, progress)
            stop = self.control.stop()
            if stop or time.monotonic() - self.saved >= self.control.save_seconds:
                self.directory.save_state(generation, progress.step, snapshot())
                self.saved = time.monotonic()
            if stop:
                self.directory.wait()
                raise Stopped

        return between

    def tell(self, generation: int, p: TrainingProgress) -> None:
        """Turns a generation's progress into the sweep's."""
        now, total = time.monotonic(), self.config.loop.generations
        tokens = p.tokens - self.tokens if p.tokens > self.tokens else p.tokens
        rate = tokens / (now - self.since)
        self.since, self.tokens = now, p.tokens
        done = generation - self.first + min(p.step / self.config.train.max_steps, 1)
        left = (now - self.start) * ((total - self.first) / done - 1) if done else float("inf")
        self.control.tell(Progress(generation, total, p.step, self.config.train.max_steps, p.loss, rate, left))
