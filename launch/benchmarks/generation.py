"""Suite `generation`: one whole generation of one cell, ours and the pipeline that people would write.

Train from scratch, write samples, verify them, compare all pairs. Ours is `loop.run.run` itself, with everything a run
does besides (evaluation, held-out likelihood, checkpoints, samples and measures on disk), in the steady state: from
the end of one generation's training to the end of the next one's. Cell-generations per second.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from eval.measures.generation import measure_generation
from launch.benchmarks import gpt2
from launch.benchmarks.case import Contender, Row, compare
from launch.benchmarks.diversity import python_loop
from launch.benchmarks.sizes import Options, Size
from launch.benchmarks.verify import python_eval
from logic.boolean.symbols import decode
from logic.ids import unpad
from loop.blocks import initial_training_set
from loop.config import Config, LoopConfig, SweepConfig, TrainConfig
from loop.run import run
from loop.storage.run_directory import RunDirectory
from loop.training.data import lay_out
from loop.training.memory import capacity
from loop.training.train import learning_rate
from loop.watch import Control, Progress

_GENERATIONS = 3  # the first compiles training, the second sampling; the third is measured
_CELLS_ON_ACCELERATOR = 8
_COMPILING = ("/jax/core/compile/jaxpr_to_mlir_module_duration", "/jax/core/compile/backend_compile_duration")


def configuration(size: Size, options: Options, repetition: int = 0) -> Config:
    """A few cells of the control, which trains on real data in every generation, as the peer does.

    Every repetition has seeds of its own: nothing can be remembered from the one before.
    """
    on_cpu = jax.default_backend() == "cpu"
    cells = options.cells or (options.devices if on_cpu else _CELLS_ON_ACCELERATOR)
    steps, n = size.generation_steps, size.generation_examples
    train = TrainConfig(
        batch_size=size.batch_size, max_steps=steps, eval_interval=steps, eval_batches=5, warmup_steps=min(100, steps)
    )
    return Config(
        language=size.generation_language,
        model=size.model(options.dtype, options.dropout),
        train=train,
        loop=LoopConfig(generations=_GENERATIONS, num_examples=n, num_samples=n, num_held_out=max(1, n // 5)),
        sweep=SweepConfig(
            cycles=("fresh",), fresh_ratios=(1.0,), seeds=tuple(range(repetition * cells, (repetition + 1) * cells))
        ),
    )


def product(config: Config) -> tuple[float, float]:
    """Runs the sweep in a directory of its own; seconds of its last generation, and of all of it."""
    ended: dict[int, float] = {}

    def tell(progress: Progress) -> None:
        ended[progress.generation] = time.perf_counter()

    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        directory = RunDirectory(Path(folder) / "run")
        directory.create({}, "benchmark")
        run(config, directory, measure_generation, Control(tell=tell))
    return ended[_GENERATIONS - 1] - ended[_GENERATIONS - 2], time.perf_counter() - start


class Pipeline:
    """GPT-2 in PyTorch, `generate`, `eval`, and a loop over python-Levenshtein."""

    def __init__(self, config: Config, options: Options):
        gpt2.require("Levenshtein")
        gpt2.device(options)
        self.config, self.options = config, options
        self.rng = np.random.default_rng(0)
        self.rates = np.asarray(jax.vmap(lambda s: learning_rate(config.train, s))(np.arange(config.train.max_steps)))
        self.stages: dict[str, list[float]] = {}
        # What PyTorch does once in a process is no part of a generation.
        trainer, length = gpt2.Trainer(config.model, config.train, options), config.model.context_length
        trainer.step(np.zeros((config.train.batch_size, length + 1), np.uint8))
        gpt2.generate(trainer.model, 2, 2, config.sample.temperature, 2)

    def _stage(self, name: str, start: float) -> None:
        self.stages.setdefault(name, []).append(time.perf_counter() - start)

    def generation(self) -> float:
        """One generation of one cell; returns seconds."""
        c = self.config
        begin = start = time.perf_counter()
        data = lay_out(initial_training_set(c, 0), self.rng, c.train.validation_fraction, capacity(c))
        stream = np.asarray(data.stream_C)[: int(data.train_symbols)]
        trainer = gpt2.Trainer(c.model, c.train, self.options)
        shape = (c.train.batch_size, c.model.context_length + 1)
        for rate in self.rates.tolist():
            trainer.step(gpt2.draw_windows(stream, self.rng, *shape), rate)
        trainer.wait()
        self._stage("train", start)

        start, n = time.perf_counter(), c.loop.num_samples
        with trainer.cast:
            ids = gpt2.generate(trainer.model, n, gpt2.batch_size(n), c.sample.temperature, c.model.context_length)
        self._stage("sample", start)

        start = time.perf_counter()
        expressions = unpad(ids.astype(np.uint8))
        np.mean([python_eval(text) for text in decode(expressions)])
        self._stage("verify", start)

        start = time.perf_counter()
        python_loop([e.decode("latin-1") for e in expressions])
        self._stage("diversity", start)
        return time.perf_counter() - begin


class _CompileClock:
    """Seconds that JAX has spent on lowering and compiling in this process."""

    def __init__(self) -> None:
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._add)

    def _add(self, event: str, duration_secs: float, **_: Any) -> None:
        if event in _COMPILING:
            self.seconds += duration_secs


def suite(size: Size, options: Options) -> Iterator[Row]:
    """One case: the whole generation."""
    config = configuration(size, options)
    pipeline: list[Pipeline] = []
    whole: list[float] = []
    repetitions = itertools.count()
    clock = _CompileClock()
    compiling: list[float] = []

    def ours() -> float:
        before = clock.seconds
        seconds, total = product(configuration(size, options, next(repetitions)))
        whole.append(total)
        compiling.append(clock.seconds - before)
        return seconds

    def peer() -> Contender:
        pipeline.append(Pipeline(config, options))
        return Contender(pipeline[0].generation, 1)

    row = compare(
        "generation",
        "whole",
        size.name,
        "generations/s",
        Contender(ours, len(config.cells())),
        f"{gpt2.NAME} in PyTorch, generate, eval, loop over Levenshtein.distance",
        peer,
        options.repeats,
        warm_up=False,
        steps=config.train.max_steps,
        num_examples=config.loop.num_examples,
        num_samples=config.loop.num_samples,
        max_depth=size.generation_language.max_depth,
        dropout=options.dropout,
        cells=len(config.cells()),
    )
    stages = {name: float(np.median(seconds)) for name, seconds in pipeline[0].stages.items()} if pipeline else None
    yield {**row, "compile_seconds": compiling[0], "first_run_seconds": whole[0], "peer_stages": stages}
