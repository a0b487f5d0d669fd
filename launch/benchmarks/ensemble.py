"""Suite `ensemble`: training of several members per device as one program, ours beside one GPT-2 after another.

A measurement is `Ensemble.train_chunk`, the product's own: some steps, then an evaluation of one batch of either split.
Tokens per second of training, all members together.
"""

from collections.abc import Callable, Iterator

import jax
import numpy as np

from launch.benchmarks import gpt2
from launch.benchmarks.case import Contender, Row, UnavailableError, blank, compare, timed
from launch.benchmarks.machine import matmul_flops
from launch.benchmarks.sizes import Options, Size
from launch.benchmarks.train import Peer, training_data
from launch.planning.flops import forward_flops, train_flops
from logic.boolean.language import Boolean
from loop.cell import Cell
from loop.config import Config, LoopConfig, SweepConfig, TrainConfig
from loop.training.ensemble import Ensemble

_ACCELERATOR_STEPS = 20
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "Out of memory")


class Members:
    """An ensemble in training."""

    def __init__(self, config: Config, size: Size, count: int, mode: str):
        self.ensemble = Ensemble(config, [Cell("fresh", 1.0, seed) for seed in range(count)], mode)
        self.data = self.ensemble.put_data([training_data(size)] * count)
        self.state = self.ensemble.start(0, np.ones(count, bool))

    def chunk(self, _: int = 0) -> None:
        """Trains every member up to its next evaluation."""
        self.state = jax.block_until_ready(self.ensemble.train_chunk(self.state, self.data, 0))


def suite(size: Size, options: Options) -> Iterator[Row]:
    """Every mode with every number of members, until the device's memory is full."""
    accelerator = jax.default_backend() != "cpu"
    steps = _ACCELERATOR_STEPS if accelerator else size.ensemble_steps
    model = size.model(options.dtype, options.dropout)
    config = Config(
        language=Boolean(1, 2),
        model=model,
        train=TrainConfig(batch_size=size.batch_size, max_steps=2**30, eval_interval=steps, eval_batches=1),
        loop=LoopConfig(num_examples=2, num_samples=2, num_held_out=1),
        sweep=SweepConfig(cycles=("fresh",), fresh_ratios=(1.0,), seeds=(0,)),
    )
    devices = jax.device_count()
    peak = matmul_flops(options.dtype) * (devices if accelerator else 1)  # on CPU, one product takes all cores
    tokens = steps * size.batch_size * model.context_length
    evaluation = 2 * forward_flops(model) / (steps * train_flops(model))  # operations, beside those of the steps
    peer = _solo_peer(size, options, config.train, steps, tokens, compiled=accelerator)
    name = f"{gpt2.NAME}, PyTorch {'torch.compile' if accelerator else 'eager'}, one after another"
    for mode in options.modes:
        solo = None
        for members in options.members:
            count = members * devices
            case = f"groups_of_{mode}_{members}" if mode.isdecimal() else f"{mode}_{members}"
            running = None  # the one before goes first: memory is for one
            try:
                running = Members(config, size, count, mode)
                row = compare(
                    "ensemble",
                    case,
                    size.name,
                    "tokens/s",
                    Contender(timed(running.chunk, options.min_seconds), count * tokens),
                    name,
                    peer,
                    options.repeats,
                    train_flops(model) * (1 + evaluation),
                    peak,
                    members=members,
                    devices=devices,
                    steps=steps,
                )
            except Exception as error:
                if not any(words in str(error) for words in _OUT_OF_MEMORY):
                    raise
                full = f"out of memory with {members} members on a device"
                yield blank("ensemble", case, size.name, "tokens/s", name) | {"members": members, "failed": full}
                break
            solo = row["ours"] if members == 1 else solo
            yield {**row, "ratio_to_solo": row["ours"] / solo if solo else None}


def _solo_peer(
    size: Size, options: Options, config: TrainConfig, steps: int, tokens: int, compiled: bool
) -> Callable[[], Contender]:
    """Makes the peer at its first use, once for all cases."""
    made: list[Contender | UnavailableError] = []

    def make() -> Contender:
        solo = Peer(size.model(options.dtype, options.dropout), config, training_data(size), options, compiled)
        gpt2.attempt(lambda: solo.run(1))
        return Contender(lambda: solo.run(steps), tokens)

    def peer() -> Contender:
        if not made:
            try:
                made.append(make())
            except UnavailableError as reason:
                made.append(reason)
        if isinstance(made[0], UnavailableError):
            raise made[0]
        return made[0]

    return peer
