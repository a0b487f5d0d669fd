"""Suite `train`: steps of one model from scratch, ours and GPT-2 in PyTorch, written twice. Tokens per second."""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from launch.benchmarks import gpt2
from launch.benchmarks.case import Contender, Row, UnavailableError, compare
from launch.benchmarks.machine import matmul_flops
from launch.benchmarks.nanogpt import NANOGPT
from launch.benchmarks.sizes import Options, Size
from launch.planning.flops import train_flops
from loop.config import Config, TrainConfig
from loop.examples import Examples
from loop.training.data import TrainData, lay_out, windows
from loop.training.gradients import Placement
from loop.training.micro_batch import parts_of_batch
from loop.training.train import TrainState, init_state, train_step
from model.config import ModelConfig

_EXAMPLES = 2_000


def training_data(size: Size) -> TrainData:
    """Real expressions, laid out as the product does."""
    grammar, rng = size.language, np.random.default_rng(0)
    examples = Examples.drawn(grammar.sample(_EXAMPLES, rng), 0)
    return lay_out(examples, rng, 0.1, (_EXAMPLES * (grammar.max_length + 1), _EXAMPLES))


class Ours:
    """The product's training step, many of them as one program with a donated state."""

    def __init__(self, model: ModelConfig, config: TrainConfig, data: TrainData):
        shape_BT = (config.batch_size, model.context_length)
        self.parts = parts_of_batch(Config(model=model, train=config), accelerator=jax.default_backend() != "cpu")
        place = Placement(self.parts)

        def step(data: TrainData, state: TrainState) -> TrainState:
            batch = windows(data, jax.random.fold_in(jax.random.key(1), state.step), shape_BT, False)
            drop = jax.random.fold_in(jax.random.key(2), state.step) if model.dropout else None
            return train_step(model, config, state, batch, drop, place)[0]

        @functools.partial(jax.jit, donate_argnums=0)
        def many(state: TrainState, data: TrainData, steps: jax.Array) -> TrainState:
            return jax.lax.fori_loop(0, steps, lambda _, s: step(data, s), state)

        self.many = many
        self.data = jax.tree.map(jnp.asarray, data)
        self.state = jax.jit(lambda: init_state(model, config, jnp.uint32(0), jnp.int32(0)))()

    def run(self, steps: int) -> float:
        """Takes steps; returns seconds."""
        start = time.perf_counter()
        self.state = jax.block_until_ready(self.many(self.state, self.data, jnp.int32(steps)))
        return time.perf_counter() - start


class Peer:
    """GPT-2 on the same windows."""

    def __init__(
        self,
        model: ModelConfig,
        config: TrainConfig,
        data: TrainData,
        options: Options,
        compiled: bool,
        kind: gpt2.Kind = gpt2.HUGGING_FACE,
    ):
        self.trainer = gpt2.Trainer(model, config, options, compiled, kind)
        self.stream = np.asarray(data.stream_C)[: int(data.train_symbols)]
        self.rng = np.random.default_rng(0)
        self.shape = (config.batch_size, model.context_length + 1)

    def run(self, steps: int) -> float:
        """Takes steps; returns seconds."""
        start = time.perf_counter()
        for _ in range(steps):
            self.trainer.step(gpt2.draw_windows(self.stream, self.rng, *self.shape))
        self.trainer.wait()
        return time.perf_counter() - start


def suite(size: Size, options: Options) -> Iterator[Row]:
    """Each GPT-2, eagerly and compiled; once more the one that ours gains least on; ours with whole batches."""
    model = size.model(options.dtype, options.dropout)
    config = TrainConfig(batch_size=size.batch_size)
    data = training_data(size)
    peak = matmul_flops(options.dtype)
    ours = Ours(model, config, data)
    ours.run(1)
    steps = max(size.train_steps, round(options.min_seconds / ours.run(1)))
    tokens = steps * config.batch_size * model.context_length

    def measure(case: str, name: str, peer: Callable[[], Contender]) -> Row:
        return compare(
            "train",
            case,
            size.name,
            "tokens/s",
            Contender(lambda: ours.run(steps), tokens),
            name,
            peer,
            options.repeats,
            train_flops(model),
            peak,
            steps=steps,
            dropout=options.dropout,
            parts=ours.parts,
        )

    rows = []
    for (prefix, kind), compiled in itertools.product((("", gpt2.HUGGING_FACE), ("nanogpt_", NANOGPT)), (False, True)):

        def peer(compiled: bool = compiled, kind: gpt2.Kind = kind) -> Contender:
            contender = Peer(model, config, data, options, compiled, kind)
            gpt2.attempt(lambda: contender.run(1))
            return Contender(lambda: contender.run(steps), tokens)

        name = f"{kind.name}, PyTorch {'torch.compile' if compiled else 'eager'}"
        rows.append(measure(prefix + ("compile" if compiled else "eager"), name, peer))
        yield rows[-1]
    if measured := [row for row in rows if row["ratio_median"] is not None]:
        yield {**min(measured, key=lambda row: row["ratio_median"]), "case": "best"}

    def whole() -> Contender:
        if ours.parts == 1:
            raise UnavailableError("ours takes batches whole")
        other = Ours(model, dataclasses.replace(config, micro_batch=config.batch_size), data)
        return Contender(lambda: other.run(steps), tokens)

    yield measure("whole_batch", "ours, batches whole", whole)
