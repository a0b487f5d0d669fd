"""Stateless random streams: each is derived from (seed, generation, purpose), so none has to be saved."""

import enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # half a second, which a command that refuses its flags does without
    import jax

KEYS = "threefry2x32"  # JAX's kind of keys: another one, such as rbg, gives other results, and others under vmap


class Purpose(enum.IntEnum):
    """What a random stream is for. Values are part of every result: append, never renumber."""

    REAL_DATA = 0  # draws from the real distribution
    SHUFFLE = 1  # order of the examples, train/validation split
    BLOCK = 2  # which samples go into the incoming block
    MIX = 3  # which examples go into the next training set
    INIT = 4  # initial weights
    BATCH = 5  # training windows
    DROPOUT = 6
    EVALUATION = 7  # windows on which losses are evaluated
    SAMPLE = 8  # the model's samples
    MEASURE = 9  # subsets that measures are taken on
    HELD_OUT = 10  # real expressions that models are compared with the truth on
    VALIDATION = 11  # real expressions that training is validated on
    SELECT = 12  # which samples a remedy chooses
    COPY = 13  # training windows of a copy that learns from its own samples
    OWN = 14  # the samples that it learns from
    EDIT = 15  # symbols of real examples that a model draws anew
    POOL = 16  # which examples of a pool make the first training set


def generator(seed: int, generation: int, purpose: Purpose) -> np.random.Generator:
    """The stream as NumPy's, for work on the host."""
    return np.random.default_rng([seed, generation, purpose])


def key(seed: "jax.Array", generation: "jax.Array", purpose: "Purpose | jax.Array") -> "jax.Array":
    """The stream as a JAX key, for work on the device; all of these may be traced."""
    import jax

    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed, impl=KEYS), generation), purpose)
