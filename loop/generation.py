"""One generation of every cell: train M_t from scratch on D_t, let it write S_t, and verify what it wrote."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import jax
import numpy as np

from logic.ids import unpad
from loop.cell import Cell
from loop.config import Config
from loop.examples import Examples
from loop.learners.host import run_learner
from loop.outcome import Outcome, exchange
from loop.remedies import network_part
from loop.storage.checkpoints import Checkpoint
from loop.training.after_training import combine, edit, score
from loop.training.curves import Curves
from loop.training.data import lay_out_cells
from loop.training.ensemble import Ensemble, Facts
from loop.training.self_likelihood import judge
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
    settings: Mapping[str, Config],
    ensemble: Ensemble | None,
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    between: Callable[[TrainingProgress, Snapshot], None],
    saved: Mapping[Cell, dict[str, Any]] | None = None,
    past: Mapping[Cell, Sequence[list[bytes]]] = MappingProxyType({}),
) -> dict[Cell, Outcome]:
    """Trains, samples and verifies the cells that are in `training_sets`. All processes get all outcomes.

    Args:
      settings: the configurations of the cells' settings.
      ensemble: of all networks of these; None if there are none.
      training_sets: of the cells that go on; None for those that this process does not hold.
      between: called after every chunk of steps; what it raises ends the generation.
      saved: a snapshot of this generation, to go on from, with at least the cells that the ensemble holds here (in
        generation 0, a cell of each of their seeds).
      past: samples of earlier generations, newest first, that remedies of a cell look back on.
    """
    networks = {cell: train for cell, train in training_sets.items() if cell.is_network}
    others = {cell: train for cell, train in training_sets.items() if not cell.is_network and train is not None}
    outcomes: dict[Cell, Outcome] = {}
    if ensemble is not None and networks:
        outcomes |= _run_networks(ensemble, generation, networks, between, saved, past)
    if len(networks) < len(training_sets):
        mine = {cell: run_learner(settings[cell.setting], cell, generation, train) for cell, train in others.items()}
        outcomes |= exchange(mine, {cell: {} for cell in training_sets if not cell.is_network})
    return {cell: outcomes[cell] for cell in training_sets}


def _run_networks(
    ensemble: Ensemble,
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    between: Callable[[TrainingProgress, Snapshot], None],
    saved: Mapping[Cell, dict[str, Any]] | None,
    past: Mapping[Cell, Sequence[list[bytes]]],
) -> dict[Cell, Outcome]:
    """Those of the cells that the ensemble trains."""
    config, cells = ensemble.config, ensemble.cells
    owner = dict(zip(cells, ensemble.owner, strict=True))
    leader = _leaders({cell: owner[cell] for cell in training_sets}, generation)
    active = np.array([cell in training_sets and leader[cell] == cell for cell in cells])

    state, facts, curves, train_seconds = _train(ensemble, generation, training_sets, active, between, saved)
    state = state.replace(opt_state=None, params=None)  # makes room for copies, and for the models of generation 0
    clock = time.monotonic()
    finite = facts.finite & active
    params, copies = combine(ensemble, generation, state.best_params, finite)
    state = state.replace(best_params=params)
    ids = ensemble.sample(params, generation, finite, copies=copies)
    written = [unpad(ids[i]) if finite[i] else [] for i in range(len(cells))]
    scores = score(ensemble, params, copies, written, past, leader, finite)
    copies = None  # they have done their work, and take as much room as the models
    edited = edit(ensemble, params, generation, leader, finite)
    sample_seconds = time.monotonic() - clock
    nll = ensemble.held_out_nll(params)
    likelihoods = judge(ensemble, params, generation, written, finite, leader)

    host = ensemble.get(state)
    trained_here = np.flatnonzero(active).tolist()
    stored = {i: ensemble.place(jax.tree.map(lambda x, i=i: x[i], host.best_params), i) for i in trained_here}
    outcomes = {}
    for i in stored:
        train = training_sets[cells[i]]
        if train is None or owner[cells[i]] != jax.process_index():
            continue
        counters = {
            "train_loss": float(host.train_loss[i]),
            "validation_loss": float(host.validation_loss[i]),
            "steps": int(facts.step[i]),
            # Cells run side by side: the wall time is shared out by the work done.
            "train_seconds": train_seconds * float(facts.step[i] / facts.step.sum()),
            "sample_seconds": sample_seconds / max(int(finite.sum()), 1),
            "train_tokens": int(facts.step[i]) * config.train.batch_size * config.model.context_length,
            **likelihoods.get(i, {}),
        }
        status = None if finite[i] else f"loss not finite at step {facts.step[i]}"
        samples = Examples.written(written[i], generation, train)
        verdicts = config.language.verify(samples.expressions)
        checkpoint = Checkpoint(stored[i], train, counters, nll[i])
        outcomes[cells[i]] = Outcome(checkpoint, samples, verdicts, status, curves.of(i), scores.get(cells[i], {}))
    outcomes = exchange(outcomes, {cells[i]: stored[i] for i in stored})
    return {
        cell: dataclasses.replace(outcome, edited=edited.get(cell, ()))
        for cell, outcome in _of_all_cells(outcomes, leader).items()
    }


def _train(
    ensemble: Ensemble,
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    active: np.ndarray,
    between: Callable[[TrainingProgress, Snapshot], None],
    saved: Mapping[Cell, dict[str, Any]] | None,
) -> tuple[TrainState, Facts, Curves, float]:
    """The state when no active cell has steps left, what is known of it, how it got there, and the seconds that it
    took in all."""
    clock, config, cells = time.monotonic(), ensemble.config, ensemble.cells
    data = ensemble.put_data(*lay_out_cells(config, cells, generation, training_sets, active))
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


def _alike(cell: Cell) -> tuple[str, int, str]:
    """Cells that agree in this are equal in generation 0."""
    return cell.setting, cell.seed, network_part(cell.remedy)


def _saved_trees(
    cells: list[Cell], generation: int, active: np.ndarray, saved: Mapping[Cell, dict[str, Any]]
) -> list[dict[str, Any] | None]:
    """What is saved of every active cell. In generation 0 one cell works for all of its seed, and on other devices
    it may have been another one."""
    same = {_alike(cell): tree for cell, tree in saved.items()} if generation == 0 else {}
    return [saved.get(cell) or same.get(_alike(cell)) if on else None for cell, on in zip(cells, active, strict=True)]


def _leaders(owner: Mapping[Cell, int], generation: int) -> dict[Cell, Cell]:
    """The cell that works for each cell: in generation 0, cells of equal seed are equal in everything, but for remedies
    that change the model.

    `owner` is the process of each cell that goes on: leader and followers are of one process.
    """
    if generation > 0:
        return {cell: cell for cell in owner}
    first: dict[tuple, Cell] = {}
    return {cell: first.setdefault((_alike(cell), owner[cell]), cell) for cell in owner}


def _of_all_cells(outcomes: Mapping[Cell, Outcome], leader: Mapping[Cell, Cell]) -> dict[Cell, Outcome]:
    """Every cell has what its leader ended with, and an equal part of the seconds: their sum is what was spent."""
    sharing = Counter(leader.values())

    def with_part(outcome: Outcome, n: int) -> Outcome:
        counters = {k: v / n if k.endswith("_seconds") else v for k, v in outcome.trained.counters.items()}
        return dataclasses.replace(outcome, trained=dataclasses.replace(outcome.trained, counters=counters))

    parts = {cell: with_part(outcome, sharing[cell]) for cell, outcome in outcomes.items()}
    return {cell: parts[first] for cell, first in leader.items()}
