"""One generation of a cell whose learner is no network: it runs on the host, in NumPy."""

import dataclasses
import functools
import time
from collections.abc import Sequence

import numpy as np

from loop.blocks import held_out_expressions, initial_training_set
from loop.cell import Cell
from loop.config import Config, TrainConfig
from loop.examples import Examples
from loop.learners import learner_of
from loop.learners.learner import Model
from loop.outcome import Outcome
from loop.self_likelihood import FIRST, SELF, nats_per_symbol, num_judged
from loop.storage.checkpoints import Checkpoint
from loop.streams import Purpose, generator
from model.config import SampleConfig


def run_learner(config: Config, cell: Cell, generation: int, train: Examples) -> Outcome:
    """Learns the training set and writes its samples. A cell that cannot learn its set ends with a status."""
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

    counters |= _self_likelihood(config, cell, generation, model, samples.expressions)
    nll_N = -model.log_likelihood(held_out_expressions(config)).astype(np.float32)
    if not np.isfinite(nll_N).all():  # what it has never seen it cannot write: then no distance is defined
        nll_N = np.zeros(0, np.float32)
    verdicts = config.language.verify(samples.expressions)
    return Outcome(Checkpoint({}, train, counters, nll_N), samples, verdicts)


def _self_likelihood(
    config: Config, cell: Cell, generation: int, model: Model, samples: Sequence[bytes]
) -> dict[str, float]:
    """What loop/self_likelihood.py says of the cell, under its columns; what is not finite is left out."""
    judged, T = samples[: num_judged(len(samples))], config.model.context_length
    alike = dataclasses.replace(config, train=TrainConfig(), sample=SampleConfig())  # settings beside it share M_0
    first = _first_model(alike, cell.learner, cell.seed) if generation else model
    means = {name: nats_per_symbol(-m.log_likelihood(judged), judged, T) for name, m in ((SELF, model), (FIRST, first))}
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}


@functools.lru_cache(maxsize=128)
def _first_model(config: Config, learner: str, seed: int) -> Model:
    """M_0, learnt anew: without randomness it is the same."""
    train = initial_training_set(config, seed)
    return learner_of(learner).learn(train.expressions, config.language, config.model.context_length)
