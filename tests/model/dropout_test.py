"""Rows of a batch have the random numbers that JAX and Flax give them in the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from model.dropout import Dropout, random_bits

KEY = jax.random.key(3)


@pytest.mark.parametrize(("first", "rows"), [(0, 6), (2, 3), (5, 1)])
def test_random_bits_are_rows_of_those_of_the_whole_array(first, rows):
    whole = jax.random.bits(KEY, (6, 5, 7))
    np.testing.assert_array_equal(random_bits(KEY, first, (rows, 5, 7)), whole[first : first + rows])


class Ours(nn.Module):
    first: int | None

    @nn.compact
    def __call__(self, x):
        return Dropout(0.3, self.first, name="Dropout_0")(x)


class Flaxs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.3, deterministic=False)(x)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropout_equals_flaxs_whole_and_in_parts(dtype):
    x = jax.random.normal(jax.random.key(1), (40, 5, 7), dtype)
    whole = jax.jit(lambda x: Flaxs().apply({}, x, rngs={"dropout": KEY}))(x)
    assert 0.2 < np.mean(whole == 0) < 0.4
    for first, rows in ((0, 40), (0, 20), (20, 20), (39, 1)):
        ours = jax.jit(lambda x, first=first: Ours(first).apply({}, x, rngs={"dropout": KEY}))
        part = ours(x[first : first + rows])
        np.testing.assert_array_equal(part, whole[first : first + rows])


def test_nothing_is_dropped_without_a_row():
    x = jnp.ones((2, 3))
    np.testing.assert_array_equal(Ours(None).apply({}, x), x)
