"""One generation of every cell: train M_t from scratch on D_t, let it write S_t, and verify what it wrote."""

import dataclasses
import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from logic.ids import unpad
from loop.cell import Cell
from loop.config import Config
from loop.examples import Examples
from loop.learners.host import run_learners
from loop.outcome import Outcome, exchange
from loop.self_likelihood import FIRST, SELF, nats_per_symbol, num_judged
from loop.storage.checkpoints import Checkpoint
from loop.streams import Purpose, generator
from loop.training.curves import Curves
from loop.training.data import TrainData, lay_out
from loop.training.ensemble import Ensemble, Facts, First
from loop.training.memory import capacity
from loop.training.train import TrainState


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


def run_generation(
    config: Config,
    ensemble: Ensemble | None,
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    between: Callable[[TrainingProgress, Snapshot], None],
    saved: Mapping[Cell, dict[str, Any]] | None = None,
) -> dict[Cell, Outcome]:
    """Trains, samples and verifies the cells that are in `training_sets`. All processes get all outcomes.

    Args:
      ensemble: of all networks of the sweep; None if it has none.
      training_sets: of the cells that go on; None for those that this process does not hold.
      between: called after every chunk of steps; what it raises ends the generation.
      saved: a snapshot of this generation, to go on from, with at least the cells that the ensemble holds here (in
        generation 0, a cell of each of their seeds).
    """
    networks = {cell: train for cell, train in training_sets.items() if cell.is_network}
    others = {cell: train for cell, train in training_sets.items() if not cell.is_network and train is not None}
    outcomes: dict[Cell, Outcome] = {}
    if ensemble is not None and networks:
        outcomes |= _run_networks(config, ensemble, generation, networks, between, saved)
    if len(networks) < len(training_sets):
        outcomes |= exchange(
            run_learners(config, generation, others), {cell: {} for cell in training_sets if not cell.is_network}
        )
    return {cell: outcomes[cell] for cell in training_sets}


def _run_networks(
    config: Config,
    ensemble: Ensemble,
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    between: Callable[[TrainingProgress, Snapshot], None],
    saved: Mapping[Cell, dict[str, Any]] | None,
) -> dict[Cell, Outcome]:
    """Those of the cells that the ensemble trains."""
    cells = config.networks()
    owner = dict(zip(cells, ensemble.owner, strict=True))
    leader = _leaders({cell: owner[cell] for cell in training_sets}, generation)
    active = np.array([cell in training_sets and leader[cell] == cell for cell in cells])

    trained = _train(config, ensemble, cells, generation, training_sets, active, between, saved)
    state, facts, curves, train_seconds = trained
    clock = time.monotonic()
    finite = facts.finite & active
    ids = ensemble.sample(state.best_params, generation, finite)
    sample_seconds = time.monotonic() - clock
    nll = ensemble.held_out_nll(state.best_params)
    state = state.replace(opt_state=None, params=None)  # makes room for the models of generation 0
    written = {i: unpad(ids[i]) for i in np.flatnonzero(finite).tolist()}
    own_leader = [cells.index(leader.get(cell, cell)) for cell in cells]
    likelihoods = _self_likelihoods(config, ensemble, state.best_params, generation, written, own_leader)

    host = ensemble.get(state)
    params = {i: ensemble.place(_cell_params(host.best_params, i), i) for i in np.flatnonzero(active).tolist()}
    outcomes = {}
    for i in params:
        train = training_sets[cells[i]]
        if train is None or owner[cells[i]] != jax.process_index():
            continue
        tokens = int(facts.step[i]) * config.train.batch_size * config.model.context_length
        counters = {
            "train_loss": float(host.train_loss[i]),
            "validation_loss": float(host.validation_loss[i]),
            "steps": int(facts.step[i]),
            # Cells run side by side: the wall time is shared out by the work done.
            "train_seconds": train_seconds * float(facts.step[i] / facts.step.sum()),
            "sample_seconds": sample_seconds / max(int(finite.sum()), 1),
            "train_tokens": tokens,
            **likelihoods.get(i, {}),
        }
        status = None if finite[i] else f"loss not finite at step {facts.step[i]}"
        samples = Examples.written(written.get(i, []), generation, train)
        verdicts = config.language.verify(samples.expressions)
        checkpoint = Checkpoint(params[i], train, counters, nll[i])
        outcomes[cells[i]] = Outcome(checkpoint, samples, verdicts, status, curves.of(i))
    outcomes = exchange(outcomes, {cells[i]: params[i] for i in params})
    return _of_all_cells(outcomes, leader)


def _self_likelihoods(
    config: Config,
    ensemble: Ensemble,
    params: dict,
    generation: int,
    written: Mapping[int, list[bytes]],
    leader: list[int],
) -> dict[int, dict[str, float]]:
    """What loop/self_likelihood.py says of every cell with samples; generation 0 sets `ensemble.first`."""
    n, T = num_judged(config.loop.num_samples), config.model.context_length
    judged = {i: samples[:n] for i, samples in written.items()}
    by_name = {SELF: ensemble.samples_nll(params, judged)}
    if generation == 0:
        ensemble.first = First(ensemble.pick(params, leader), np.ones(len(leader), bool))
        by_name[FIRST] = by_name[SELF]
    elif ensemble.first is not None:
        theirs = ensemble.samples_nll(ensemble.put_params(ensemble.first.params), judged)
        by_name[FIRST] = {i: nll for i, nll in theirs.items() if ensemble.first.known[i]}
    return {
        i: {name: nats_per_symbol(nll[i], judged[i], T) for name, nll in by_name.items() if i in nll} for i in judged
    }


def _train(
    config: Config,
    ensemble: Ensemble,
    cells: list[Cell],
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    active: np.ndarray,
    between: Callable[[TrainingProgress, Snapshot], None],
    saved: Mapping[Cell, dict[str, Any]] | None,
) -> tuple[TrainState, Facts, Curves, float]:
    """The state when no active cell has steps left, what is known of it, how it got there, and the seconds that it
    took in all."""
    clock = time.monotonic()
    data = _lay_out(config, ensemble, cells, generation, training_sets, active)
    begun = _saved_trees(cells, generation, active, saved or {})
    if saved is None:
        state = ensemble.start(generation, active)
    else:
        state = ensemble.restore([tree and tree["state"] for tree in begun])
        clock -= max((float(tree["seconds"]) for tree in saved.values()), default=0)
    curves = Curves([tree["curve"] if tree else None for tree in begun])

    def snapshot() -> dict[Cell, dict[str, Any]]:
        seconds = np.array(time.monotonic() - clock)
        states = ensemble.snapshot(state, np.flatnonzero(active).tolist())
        return {cells[i]: {"state": s, "seconds": seconds, "curve": curves.of(i)} for i, s in states.items()}

    facts = ensemble.facts(state)
    while facts.active.any():
        trained = facts.active
        state = ensemble.train_chunk(state, data, generation)
        facts = ensemble.facts(state)
        curves.add(trained, facts)
        progress = TrainingProgress(
            step=int(facts.step[active].min()),
            loss=float(facts.loss[active].mean()),
            tokens=int(facts.step.sum()) * config.train.batch_size * config.model.context_length,
            done=not facts.active.any(),
        )
        between(progress, snapshot)
    return state, facts, curves, time.monotonic() - clock


def _saved_trees(
    cells: list[Cell], generation: int, active: np.ndarray, saved: Mapping[Cell, dict[str, Any]]
) -> list[dict[str, Any] | None]:
    """What is saved of every active cell. In generation 0 one cell works for all of its seed, and on other devices
    it may have been another one."""
    same = {cell.seed: tree for cell, tree in saved.items()} if generation == 0 else {}
    return [saved.get(cell) or same.get(cell.seed) if on else None for cell, on in zip(cells, active, strict=True)]


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


def _leaders(owner: Mapping[Cell, int], generation: int) -> dict[Cell, Cell]:
    """The cell that works for each cell: in generation 0, cells of equal seed are equal in everything.

    `owner` is the process of each cell that goes on: leader and followers are of one process.
    """
    if generation > 0:
        return {cell: cell for cell in owner}
    first: dict[tuple[int, int], Cell] = {}
    return {cell: first.setdefault((cell.seed, owner[cell]), cell) for cell in owner}


def _of_all_cells(outcomes: Mapping[Cell, Outcome], leader: Mapping[Cell, Cell]) -> dict[Cell, Outcome]:
    """Every cell has what its leader ended with, and an equal part of the seconds: their sum is what was spent."""
    sharing = Counter(leader.values())

    def with_part(outcome: Outcome, n: int) -> Outcome:
        counters = {k: v / n if k.endswith("_seconds") else v for k, v in outcome.trained.counters.items()}
        return dataclasses.replace(outcome, trained=dataclasses.replace(outcome.trained, counters=counters))

    parts = {cell: with_part(outcome, sharing[cell]) for cell, outcome in outcomes.items()}
    return {cell: parts[first] for cell, first in leader.items()}


def _cell_params(params: dict, i: int) -> dict:
    return {k: _cell_params(v, i) if isinstance(v, dict) else v[i] for k, v in params.items()}
