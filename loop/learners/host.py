"""One generation of the cells whose learner is no network: they run on the host, in NumPy, one after another."""

import time
from collections.abc import Mapping

import numpy as np

from loop.blocks import held_out_expressions
from loop.cell import Cell
from loop.config import Config
from loop.examples import Examples
from loop.learners import learner_of
from loop.outcome import Outcome
from loop.storage.checkpoints import Checkpoint
from loop.streams import Purpose, generator


def run_learners(config: Config, generation: int, training_sets: Mapping[Cell, Examples]) -> dict[Cell, Outcome]:
    """Learns each training set and writes its samples. A cell that cannot learn its set ends with a status."""
    return {cell: _run_cell(config, cell, generation, train) for cell, train in training_sets.items()}


def _run_cell(config: Config, cell: Cell, generation: int, train: Examples) -> Outcome:
    T = config.model.context_length
    clock = time.monotonic()
    try:
        model = learner_of(cell.learner).learn(train.expressions, config.language, T)
    except ValueError as error:
        nothing = Examples.drawn([], generation)
        return Outcome(Checkpoint({}, train, {}, np.zeros(0, np.float32)), nothing, {}, status=str(error))
    train_seconds = time.monotonic() - clock

    clock = time.monotonic()
    rng = generator(cell.seed, generation, Purpose.SAMPLE)
    samples = Examples.written(model.sample(config.loop.num_samples, rng, config.sample_of(cell)), generation, train)
    counters = {"train_seconds": train_seconds, "sample_seconds": time.monotonic() - clock}

    nll_N = -model.log_likelihood(held_out_expressions(config)).astype(np.float32)
    if not np.isfinite(nll_N).all():  # what it has never seen it cannot write: then no distance is defined
        nll_N = np.zeros(0, np.float32)
    verdicts = config.language.verify(samples.expressions)
    return Outcome(Checkpoint({}, train, counters, nll_N), samples, verdicts)
