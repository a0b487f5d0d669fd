"""A training set as the device holds it: one circular stream of symbols per split, and windows cut from it.

Axes: C stream capacity, E example capacity, B batch, T context length. Sizes that change from generation to
generation are scalars, so that shapes stay and nothing is compiled again.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from logic.ids import lengths
from loop.cell import Cell
from loop.config import Config
from loop.examples import Examples
from loop.remedies import acting, remedies_of
from loop.streams import Purpose, generator
from loop.training.memory import capacity


@struct.dataclass
class TrainData:
    """The shuffled examples, each followed by `<eos>`: first all training examples, then all validation examples."""

    stream_C: jax.Array | np.ndarray  # uint8 symbols
    start_E: jax.Array | np.ndarray  # int32: where in the stream each example begins
    train_examples: jax.Array | np.ndarray  # int32 scalars from here
    num_examples: jax.Array | np.ndarray
    train_symbols: jax.Array | np.ndarray
    num_symbols: jax.Array | np.ndarray
    weight_C: jax.Array | np.ndarray | None = None  # float32, of each symbol in the loss; None: all are 1


def lay_out(
    examples: Examples,
    rng: np.random.Generator,
    validation_fraction: float,
    capacity: tuple[int, int],
    real: Callable[[int], list[bytes]] | None = None,
    weight_N: np.ndarray | None = None,
) -> TrainData:
    """Shuffles and splits the examples on the host. Both splits get at least one example.

    Args:
      examples: at least two.
      rng: decides the order, and with it the split.
      validation_fraction: share of the examples that validate.
      capacity: (C, E), room for symbols (`<eos>` included) and for examples.
      real: draws as many real expressions as asked for, to validate on in place of the examples held out.
      weight_N: of each example in the loss of training; None: there are no weights.
    """
    n = len(examples)
    train = n - min(max(round(validation_fraction * n), 1), n - 1)
    order = rng.permutation(n)
    shuffled = [examples.expressions[i] for i in order.tolist()]
    if real is not None:
        shuffled[train:] = real(n - train)
    stream = np.frombuffer(b"\0".join(shuffled) + b"\0", np.uint8)
    start = np.concatenate([[0], np.cumsum(lengths(shuffled) + 1)])
    C, E = capacity
    weight = None if weight_N is None else np.repeat(weight_N[order], np.diff(start)).astype(np.float32)
    return TrainData(
        stream_C=np.pad(stream, (0, C - len(stream))),
        start_E=np.pad(start[:-1], (0, E - n)).astype(np.int32),
        train_examples=np.array(train, np.int32),
        num_examples=np.array(n, np.int32),
        train_symbols=start[train].astype(np.int32),
        num_symbols=start[n].astype(np.int32),
        weight_C=None if weight is None else np.pad(weight, (0, C - len(weight))),
    )


def windows(
    data: TrainData, key: jax.Array, shape_BT: tuple[int, int], aligned: bool, validation: bool | jax.Array = False
) -> jax.Array:
    """Draws a batch of B windows of T + 1 symbols, int32: inputs are [:, :-1] and targets are [:, 1:].

    Random windows begin anywhere, aligned ones at the `<eos>` before an example. The stream is a circle, so that
    every window is full, however small the training set.
    """
    return data.stream_C[_places(data, key, shape_BT, aligned, validation)].astype(jnp.int32)


def target_weights(data: TrainData, key: jax.Array, shape_BT: tuple[int, int], aligned: bool) -> jax.Array | None:
    """The weight of every target of the same `windows` to train on, float32_BT; None if there are no weights."""
    if data.weight_C is None:
        return None
    return data.weight_C[_places(data, key, shape_BT, aligned, False)[:, 1:]]


def _places(
    data: TrainData, key: jax.Array, shape_BT: tuple[int, int], aligned: bool, validation: bool | jax.Array
) -> jax.Array:
    """Where in the stream the symbols of windows lie, int [B, T + 1]."""
    B, T = shape_BT
    first = jnp.where(validation, data.train_symbols, 0)
    end = jnp.where(validation, data.num_symbols, data.train_symbols)
    if aligned:
        from_example = jnp.where(validation, data.train_examples, 0)
        to_example = jnp.where(validation, data.num_examples, data.train_examples)
        start_B = data.start_E[jax.random.randint(key, (B,), from_example, to_example)] - 1
    else:
        start_B = jax.random.randint(key, (B,), first, end)
    return (start_B[:, None] - first + jnp.arange(T + 1)[None, :]) % (end - first) + first


def lay_out_cells(
    config: Config,
    cells: Sequence[Cell],
    generation: int,
    training_sets: Mapping[Cell, Examples | None],
    active: np.ndarray,
) -> tuple[list[TrainData | None], TrainData]:
    """The training sets of the active cells, bool_N, as far as they are here, and an empty one of the same shapes."""
    symbols, examples = capacity(config)
    weigh = {cell: next(iter(acting(remedies_of(cell.remedy), "weigh")), None) for cell in cells}
    weight = np.zeros(symbols, np.float32) if any(weigh.values()) else None
    blank = TrainData(np.zeros(symbols, np.uint8), np.zeros(examples, np.int32), *[np.zeros((), np.int32)] * 4)
    blank = dataclasses.replace(blank, weight_C=weight)

    def of(cell: Cell, train: Examples) -> TrainData:
        remedy, weights, real = weigh[cell], None, None
        if remedy is not None:
            weights = remedy.weights(train)
        elif weight is not None:
            weights = np.ones(len(train))
        if config.train.validation == "real":
            rng = generator(cell.seed, generation, Purpose.VALIDATION)
            real = functools.partial(config.language.sample, rng=rng)
        shuffle = generator(cell.seed, generation, Purpose.SHUFFLE)
        return lay_out(train, shuffle, config.train.validation_fraction, (symbols, examples), real, weights)

    data = [
        of(cell, train) if on and (train := training_sets[cell]) is not None else None
        for cell, on in zip(cells, active, strict=True)
    ]
    return data, blank
