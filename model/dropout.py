"""Dropout whose random numbers belong to the rows of a batch: they stay the same however the batch is cut.

Axes: B rows.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from model.threefry import threefry


class DropoutKey(NamedTuple):
    """The random numbers of a training step, which rows of its batch are read, and how much of them is kept."""

    key: jax.Array
    first: jax.Array | int = 0  # number of the first row that is read, in the whole batch
    kept: jax.Array | None = None  # float32, share of the activations, in place of the configuration's; 1 keeps all


def random_bits(key: jax.Array, first: jax.Array | int, shape: tuple[int, ...]) -> jax.Array:
    """Rows `first`, `first` + 1, … of `jax.random.bits(key, (rows of the whole batch, *shape[1:]))`, uint32.

    Those are a hash of their places, counted through the array (jax_threefry_partitionable): a part of them takes no
    more than its own size. From 2**32 numbers on they repeat.
    """
    row_size = math.prod(shape[1:])
    place = jnp.uint32(first) * np.uint32(row_size) + jax.lax.iota(np.uint32, math.prod(shape)).reshape(shape)
    key_1, key_2 = jax.random.key_data(key)
    one, other = threefry(key_1, key_2, jnp.zeros_like(place), place)
    return one ^ other


class Dropout(nn.Module):
    """`nn.Dropout`, to the same bits where all rows are read; `first` is None where nothing is dropped."""

    rate: float
    first: jax.Array | int | None
    kept: jax.Array | None = None  # in place of 1 - rate, which is then not 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.first is None or not self.rate:
            return x
        # What jax.random.uniform makes of bits is their upper 23 as a fraction.
        keep: float | jax.Array
        bound: np.uint32 | jax.Array
        if self.kept is None:
            keep = 1 - self.rate
            bound = np.uint32(math.ceil(np.float32(keep) * 2.0**23))
        else:
            keep = self.kept
            bound = jnp.ceil(keep * 2.0**23).astype(jnp.uint32)
        kept = random_bits(self.make_rng("dropout"), self.first, x.shape) >> 9 < bound
        return jnp.where(kept, x / keep, jnp.zeros_like(x))
