"""The experiment: all generations of all cells, from an empty directory or from where a run stopped."""

import dataclasses
import functools
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from eval.anatomy import anatomy
from eval.cell import Cell
from eval.measures import Row, measure_change, measure_model, measure_samples, measure_training_set
from eval.run_directory import RunDirectory
from logic.dataset import Samples
from logic.examples import Examples
from logic.verifier import verify
from loop.config import Config
from loop.cycles import has_memory, held_out_expressions, incoming_block, initial_training_set, next_training_set
from loop.ensemble import Ensemble
from loop.generation import Outcome, TrainingProgress, run_generation
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


@dataclasses.dataclass
class Loop:
    """One cell's data between two generations."""

    training_set: Examples  # D_t
    blocks: list[Examples]  # D_0, N_0, …, N_{t-1} for cycles with memory, else the newest of them

    def advance(self, config: Config, cell: Cell, generation: int, samples: Examples) -> None:
        """Makes D_{t+1} of D_t and S_t."""
        block = incoming_block(config, cell, generation, samples)
        self.blocks = [*self.blocks, block] if has_memory(cell.cycle) else [block]
        self.training_set = next_training_set(config, cell, generation, self.training_set, self.blocks)


def run(
    config: Config,
    directory: RunDirectory,
    members: str = "auto",
    tell: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Runs the sweep to its end, resuming after the last complete generation that `directory` holds.

    While a generation trains, the one before is verified, written and measured in a second thread; a generation
    is complete once its rows are in the metrics.
    """
    cells = config.cells()
    rows = directory.rows()
    first = 1 + max((row["generation"] for row in rows), default=-1)
    loops = _resume(config, directory, cells, rows, first)
    if not loops or first == config.loop.generations:
        return
    ensemble = Ensemble(config, [cell.seed for cell in cells], members)
    clock = _Clock(config, first, tell)
    with ThreadPoolExecutor(max_workers=1) as background:
        commit: Future[None] | None = None
        for t in range(first, config.loop.generations):
            training_sets = {cell: loop.training_set for cell, loop in loops.items()}
            outcomes = run_generation(config, ensemble, cells, t, training_sets, functools.partial(clock.tick, t))
            if commit is not None:
                commit.result()
            commit = background.submit(_commit, config, directory, t, outcomes, rows)
            loops = {cell: loop for cell, loop in loops.items() if outcomes[cell].status is None}
            if not loops:
                break
            for cell, loop in loops.items():
                loop.advance(config, cell, t, outcomes[cell].samples)
        if commit is not None:
            commit.result()
    directory.wait()


def _resume(
    config: Config, directory: RunDirectory, cells: list[Cell], rows: list[dict[str, Any]], first: int
) -> dict[Cell, Loop]:
    """The cells that go on, with the data they go on with."""
    ended = {Cell(row["cycle"], row["fresh_ratio"], row["seed"]) for row in rows if "status" in row}
    loops = {}
    for cell in cells:
        if cell in ended:
            continue
        real = initial_training_set(config, cell.seed)
        loop = Loop(real, [real])
        # Blocks are functions of D_t and S_t, which are stored.
        for t in range(0 if has_memory(cell.cycle) else max(first - 1, 0), first):
            loop.training_set = directory.load(cell, t).training_set
            written = directory.read_samples(cell, t).expressions
            loop.advance(config, cell, t, Examples.written(written, t, loop.training_set))
        loops[cell] = loop
    return loops


def _commit(
    config: Config, directory: RunDirectory, generation: int, outcomes: dict[Cell, Outcome], rows: list[dict[str, Any]]
) -> None:
    """Verifies, writes and measures a generation; its rows come last and make it complete."""
    alive = {cell: outcome for cell, outcome in outcomes.items() if outcome.status is None}
    samples = {
        cell: Samples(
            expressions=outcome.samples.expressions,
            verdicts=verify(outcome.samples.expressions, config.language),
            generation=generation,
            **cell.keys,
        )
        for cell, outcome in alive.items()
    }
    if alive:
        directory.write_samples(generation, samples)
        directory.save(generation, {cell: outcome.trained for cell, outcome in alive.items()})
        directory.write_anatomy(generation, [_dissect(config, generation, c, o, samples[c]) for c, o in alive.items()])
    for cell, outcome in outcomes.items():
        row = {**cell.keys, "generation": generation}
        if outcome.status is None:
            rows.append({**row, **_measure(config, generation, cell, outcome, samples[cell])})
        else:
            rows.append({**row, "status": outcome.status})
    directory.wait()
    directory.write_rows(rows)


def _measure(config: Config, generation: int, cell: Cell, outcome: Outcome, samples: Samples) -> Row:
    train = outcome.trained.training_set
    rng = generator(cell.seed, generation, Purpose.MEASURE)
    return {
        **measure_samples(samples.expressions, samples.verdicts, config.language),
        **measure_change(outcome.samples, train),
        **measure_training_set(train, rng, config.loop.num_examples),
        **measure_model(outcome.held_out_nll, held_out_expressions(config), config.language),
        **outcome.trained.counters,
    }


def _dissect(config: Config, generation: int, cell: Cell, outcome: Outcome, samples: Samples) -> dict[str, Any]:
    train = outcome.trained.training_set
    parts = anatomy(outcome.samples, samples.verdicts, train, config.language)
    return {**cell.keys, "generation": generation, **parts}


class _Clock:
    """Turns a generation's progress into the sweep's."""

    def __init__(self, config: Config, first: int, tell: Callable[[Progress], None]):
        self.config, self.first, self.tell = config, first, tell
        self.start = self.since = time.monotonic()
        self.tokens = 0

    def tick(self, generation: int, p: TrainingProgress) -> None:
        now, total = time.monotonic(), self.config.loop.generations
        tokens = p.tokens - self.tokens if p.tokens > self.tokens else p.tokens
        rate = tokens / (now - self.since)
        self.since, self.tokens = now, p.tokens
        done = generation - self.first + min(p.step / self.config.train.max_steps, 1)
        left = (now - self.start) * ((total - self.first) / done - 1) if done else float("inf")
        self.tell(Progress(generation, total, p.step, self.config.train.max_steps, p.loss, rate, left))
