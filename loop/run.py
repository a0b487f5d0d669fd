"""The experiment: all generations of all cells, from an empty directory or from where a run stopped."""

import dataclasses
import functools
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from eval.cell import Cell
from eval.measures import measure_samples, measure_training_set, novelty
from eval.run_directory import RunDirectory
from logic.dataset import Samples
from logic.examples import Examples
from logic.verifier import verify
from loop.config import Config
from loop.cycles import has_memory, incoming_block, initial_training_set, next_training_set
from loop.ensemble import Ensemble
from loop.generation import Outcome, TrainingProgress, run_generation
from loop.streams import Purpose, generator


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

    def advance(self, config: Config, cell: Cell, generation: int, samples: list[bytes]) -> None:
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
        if first > 0:
            # Blocks are functions of the samples; D_t, which depends on all that came before, is stored.
            for t in range(0 if has_memory(cell.cycle) else first - 1, first - 1):
                loop.blocks.append(incoming_block(config, cell, t, directory.read_samples(cell, t).expressions))
            loop.training_set = directory.load(cell, first - 1).training_set
            loop.advance(config, cell, first - 1, directory.read_samples(cell, first - 1).expressions)
        loops[cell] = loop
    return loops


def _commit(
    config: Config, directory: RunDirectory, generation: int, outcomes: dict[Cell, Outcome], rows: list[dict[str, Any]]
) -> None:
    """Verifies, writes and measures a generation; its rows come last and make it complete."""
    alive = {cell: outcome for cell, outcome in outcomes.items() if outcome.status is None}
    samples = {
        cell: Samples(
            expressions=outcome.samples,
            verdicts=verify(outcome.samples, config.language),
            generation=generation,
            **cell.keys,
        )
        for cell, outcome in alive.items()
    }
    if alive:
        directory.write_samples(generation, samples)
        directory.save(generation, {cell: outcome.trained for cell, outcome in alive.items()})
    for cell, outcome in outcomes.items():
        row = {**cell.keys, "generation": generation}
        if outcome.status is None:
            rows.append({**row, **measure(config, cell, outcome, samples[cell], generation)})
        else:
            rows.append({**row, "status": outcome.status})
    directory.wait()
    directory.write_rows(rows)


def measure(config: Config, cell: Cell, outcome: Outcome, samples: Samples, generation: int) -> dict[str, float]:
    """The measures of one cell and generation, in the order of metrics.csv."""
    train = outcome.trained.training_set
    rng = generator(cell.seed, generation, Purpose.MEASURE)
    return {
        **measure_samples(samples.expressions, samples.verdicts, config.language),
        "novelty": novelty(samples.expressions, train),
        **measure_training_set(train, rng, config.loop.num_examples),
        **outcome.trained.counters,
    }


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
