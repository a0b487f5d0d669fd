"""One generation of every cell: train M_t from scratch on D_t, then let it write S_t."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from logic.boolean.symbols import unpad
from loop.cell import Cell
from loop.config import Config
from loop.examples import Examples
from loop.outcome import Outcome, exchange
from loop.storage.run_directory import Checkpoint
from loop.streams import Purpose, generator
from loop.training.data import TrainData, lay_out
from loop.training.ensemble import Ensemble


@dataclasses.dataclass(frozen=True)
class TrainingProgress:
    """Where a generation's training stands, over its active cells."""

    step: int  # of the cell that is furthest behind
    loss: float  # mean over cells, nats per symbol
    tokens: int  # taken so far, all cells
    done: bool  # no steps are left: sampling is next


class Snapshot(Protocol):
    """Takes the training state of every cell that works, as arrays that can be saved, to go on from later."""

    def __call__(self) -> dict[Cell, dict[str, Any]]: ...


def capacity(config: Config) -> tuple[int, int]:
    """(symbols, examples) that the largest training set of the sweep can have."""
    last = config.loop.generations - 1
    examples = max(config.train_size(cycle, last) for cycle in config.sweep.cycles)
    longest = max(config.language.max_length, config.model.context_length)
    return examples * (longest + 1), examples


def run_generation(
    config: Config,
    ensemble: Ensemble,
    cells: list[Cell],
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    between: Callable[[TrainingProgress, Snapshot], None],
    saved: Mapping[Cell, dict[str, Any]] | None = None,
) -> dict[Cell, Outcome]:
    """Trains and samples the cells that are in `training_sets`. All processes get all outcomes.

    Args:
      cells: all that the ensemble has, in its order.
      training_sets: of the cells that go on; None for those that the ensemble does not hold here.
      between: called after every chunk of steps; what it raises ends the generation.
      saved: a snapshot of this generation, to go on from, with at least the cells that the ensemble holds here (in
        generation 0, a cell of each of their seeds).
    """
    home = dict(zip(cells, ensemble.home, strict=True))
    leader = _leaders({cell: home[cell] for cell in training_sets}, generation)
    active = np.array([cell in training_sets and leader[cell] == cell for cell in cells])
    tokens_per_step = config.train.batch_size * config.model.context_length

    clock = time.monotonic()
    data = _lay_out(config, ensemble, cells, generation, training_sets, active)
    if saved is None:
        state = ensemble.start(generation, active)
    else:
        # In generation 0 one cell works for all of its seed: on other devices it may be another one.
        same = {cell.seed: tree for cell, tree in saved.items()} if generation == 0 else {}
        trees = [saved.get(cell) or same.get(cell.seed) if on else None for cell, on in zip(cells, active, strict=True)]
        state = ensemble.restore([tree and tree["state"] for tree in trees])
        clock -= max((float(tree["seconds"]) for tree in saved.values()), default=0)

    def snapshot() -> dict[Cell, dict[str, Any]]:
        seconds = np.array(time.monotonic() - clock)
        states = ensemble.snapshot(state, np.flatnonzero(active).tolist())
        return {cells[i]: {"state": tree, "seconds": seconds} for i, tree in states.items()}

    facts = ensemble.facts(state)
    while facts.active.any():
        state = ensemble.train_chunk(state, data, generation)
        facts = ensemble.facts(state)
        step, loss = facts.step, facts.loss
        progress = TrainingProgress(
            int(step[active].min()),
            float(loss[active].mean()),
            int(step.sum()) * tokens_per_step,
            done=not facts.active.any(),
        )
        between(progress, snapshot)
    train_seconds = time.monotonic() - clock

    clock = time.monotonic()
    step = facts.step
    finite = facts.finite & active
    ids = ensemble.sample(state.best_params, generation, finite)
    sample_seconds = time.monotonic() - clock

    nll = ensemble.held_out_nll(state.best_params)
    host = ensemble.get(state.replace(opt_state=None, params=None))
    params = {i: ensemble.place(_cell_params(host.best_params, i), i) for i in np.flatnonzero(active).tolist()}
    outcomes = {}
    for i in params:
        train = training_sets[cells[i]]
        if train is None or home[cells[i]] != jax.process_index():
            continue
        counters = {
            "train_loss": float(host.train_loss[i]),
            "validation_loss": float(host.validation_loss[i]),
            "steps": int(step[i]),
            # Cells run side by side: the wall time is shared out by the work done.
            "train_seconds": train_seconds * float(step[i] / step.sum()),
            "sample_seconds": sample_seconds / max(int(finite.sum()), 1),
            "train_tokens": int(step[i]) * tokens_per_step,
        }
        status = None if finite[i] else f"loss not finite at step {step[i]}"
        samples = Examples.written(unpad(ids[i]) if finite[i] else [], generation, train)
        outcomes[cells[i]] = Outcome(Checkpoint(params[i], train, counters, nll[i]), samples, status)
    outcomes = exchange(outcomes, {cells[i]: params[i] for i in params})
    return {cell: outcomes[leader[cell]] for cell in training_sets}


def _lay_out(
    config: Config,
    ensemble: Ensemble,
    cells: list[Cell],
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    active: np.ndarray,
) -> TrainData:
    symbols, examples = capacity(config)
    blank = TrainData(np.zeros(symbols, np.uint8), np.zeros(examples, np.int32), *[np.zeros((), np.int32)] * 4)
    real = config.train.validation == "real"
    return ensemble.put_data(
        [
            lay_out(
                train,
                generator(cell.seed, generation, Purpose.SHUFFLE),
                config.train.validation_fraction,
                (symbols, examples),
                functools.partial(_real_validation, config, cell, generation) if real else None,
            )
            if on and (train := training_sets[cell]) is not None
            else None
            for cell, on in zip(cells, active, strict=True)
        ],
        blank,
    )


def _real_validation(config: Config, cell: Cell, generation: int, n: int) -> list[bytes]:
    return config.language.sample(n, generator(cell.seed, generation, Purpose.VALIDATION))


def _leaders(home: Mapping[Cell, int], generation: int) -> dict[Cell, Cell]:
    """The cell that works for each cell: in generation 0, cells of equal seed are equal in everything.

    `home` is the process of each cell that goes on: leader and followers are of one process.
    """
    if generation > 0:
        return {cell: cell for cell in home}
    first: dict[tuple[int, int], Cell] = {}
    return {cell: first.setdefault((cell.seed, home[cell]), cell) for cell in home}


def _cell_params(params: dict, i: int) -> dict:
    return {k: _cell_params(v, i) if isinstance(v, dict) else v[i] for k, v in params.items()}
