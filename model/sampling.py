"""Samples from a model, in one program whose cost is what is written.

A batch of rows writes samples side by side; a row whose sample has ended begins the next one that waits, so that no
row idles until the last samples. Most samples are short: a first pass with a short cache leaves those that are longer
to a second one, which writes them again from their beginning.

Sample i is a function of the parameters, the key and i, up to rounding: neither of its neighbours nor of the batch.

Axes: N samples, B rows, T context length, V vocabulary.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from model.config import ModelConfig, SampleConfig
from model.models import Model, model_of

EOS = 0  # what a sample begins after and ends before
AUTOMATIC_ROWS = {True: 1_024, False: 64}  # on accelerators, which want many; on CPUs, whose caches hold few
SHORT = 64  # places of the first pass's cache: attention to them costs less than the rest of a layer
FEW = 16  # rows of a CPU's second pass: few samples are long, and rows that idle cost as much as the others


Own = tuple[jax.Array, jax.Array | None] | None  # one model's temperature and top-p, in place of the settings'


def filter_logits(logits_BV: jax.Array, config: SampleConfig, own: Own = None) -> jax.Array:
    """Applies temperature, top-k and top-p; excluded symbols get minus infinity."""
    if own is not None:
        # XLA divides by a constant as it multiplies by the reciprocal: so both ways give the same bits.
        logits_BV = logits_BV * (1 / jnp.where(own[0] > 0, own[0], 1.0))
    else:
        logits_BV = logits_BV / config.temperature
    if config.top_k:
        descending_BV = jnp.sort(logits_BV, axis=-1, descending=True)
        logits_BV = jnp.where(logits_BV >= descending_BV[..., config.top_k - 1, None], logits_BV, -jnp.inf)
    if own is not None and own[1] is not None:
        return jnp.where(own[1] < 1, _top_p(logits_BV, own[1]), logits_BV)
    return _top_p(logits_BV, config.top_p) if config.top_p < 1 else logits_BV


def _top_p(logits_BV: jax.Array, top_p: jax.Array | float) -> jax.Array:
    descending_BV = jnp.sort(logits_BV, axis=-1, descending=True)
    p_BV = jax.nn.softmax(descending_BV, axis=-1)
    before_BV = jnp.cumsum(p_BV, axis=-1) - p_BV  # mass of the more probable symbols
    kept_BV = jnp.where(before_BV < top_p, descending_BV, jnp.inf)
    return jnp.where(logits_BV >= kept_BV.min(axis=-1, keepdims=True), logits_BV, -jnp.inf)


def choose(key_B: jax.Array, logits_BV: jax.Array, config: SampleConfig, own: Own = None) -> jax.Array:
    """The next symbol of every row, int32_B, each from a key of its own."""
    greedy_B = jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
    if own is None and config.temperature == 0:
        return greedy_B
    drawn_B = jax.vmap(jax.random.categorical)(key_B, filter_logits(logits_BV, config, own)).astype(jnp.int32)
    return drawn_B if own is None else jnp.where(own[0] > 0, drawn_B, greedy_B)


def rows(config: SampleConfig, num_samples: int) -> int:
    """B: rows that write side by side, in the first pass."""
    return min(config.batch_size or AUTOMATIC_ROWS[jax.default_backend() != "cpu"], num_samples)


def passes(rows: int, context_length: int, accelerator: bool) -> list[tuple[int, int]]:
    """(rows, places of the cache) of each pass: the second one writes what is longer than `SHORT`."""
    if context_length <= SHORT:
        return [(rows, context_length)]
    return [(rows, SHORT), (rows if accelerator else min(rows, FEW), context_length)]


class Sample(Protocol):
    """Writes the samples `first`, `first` + 1, … of a key."""

    def __call__(self, params: Any, key: jax.Array, first: jax.Array | int = 0, own: Own = None) -> jax.Array: ...


def sampler(
    model: ModelConfig, config: SampleConfig, num_samples: int, axis: str | None = None, net: Model | None = None
) -> Sample:
    """Returns sample(params, key, first=0, own=None) -> uint8 ids_NT.

    A sample is what follows an `<eos>`, filled with `<eos>` from its end on, or cut at context_length symbols.
    `axis` names a vmap over several models: all go on until the last one is through, with one clock for their caches.
    `net` says whose parameters these are; None: the configuration's architecture.
    """
    N, T = num_samples, model.context_length
    net = net or model_of(model)

    def one_pass(
        params: Any, key_N: jax.Array, ids_NT: jax.Array, done_N: jax.Array, B: int, places: int, own: Own
    ) -> tuple:
        """Writes the samples that are not done. One that is longer than `places` symbols stays not done."""
        order_N = jnp.argsort(done_N, stable=True)
        waiting = N - jnp.sum(done_N)

        def sample_of(rank_B: jax.Array) -> jax.Array:  # N: none is left
            return jnp.where(rank_B < waiting, order_N[jnp.minimum(rank_B, N - 1)], N)

        def unfinished(carry: tuple) -> jax.Array:
            mine = jnp.any(carry[2] < N)
            return mine if axis is None else jax.lax.pmax(mine.astype(jnp.int32), axis) > 0

        def write(carry: tuple) -> tuple:
            ids_NT, done_N, sample_B, symbol_B, begun, cache = carry
            position_B = cache.position_B
            logits_BV, cache = net.forward_cached(model, params, symbol_B, cache)
            key_B = jax.vmap(jax.random.fold_in)(key_N[jnp.minimum(sample_B, N - 1)], position_B)
            symbol_B = choose(key_B, logits_BV, config, own)
            ids_NT = ids_NT.at[sample_B, position_B].set(symbol_B.astype(jnp.uint8), mode="drop")
            ended_B = (symbol_B == EOS) | (position_B + 1 == T)
            done_N = done_N.at[jnp.where(ended_B, sample_B, N)].set(True, mode="drop")
            # Rows that are through take the next samples that wait.
            free_B = ended_B | (position_B + 1 == places)
            rank_B = begun + jnp.cumsum(free_B) - 1
            sample_B = jnp.where(free_B, sample_of(rank_B), sample_B)
            symbol_B = jnp.where(free_B, EOS, symbol_B)
            cache = cache.replace(position_B=jnp.where(free_B, 0, cache.position_B))
            return ids_NT, done_N, sample_B, symbol_B, begun + jnp.sum(free_B), cache

        ids_NT = jnp.where(done_N[:, None], ids_NT, EOS)
        first_B = sample_of(jnp.arange(B))
        cache = net.init_cache(model, B, places)
        start = (ids_NT, done_N, first_B, jnp.full(B, EOS, jnp.int32), jnp.int32(B), cache)
        return jax.lax.while_loop(unfinished, write, start)[:2]

    def sample(params: Any, key: jax.Array, first: jax.Array | int = 0, own: Own = None) -> jax.Array:
        key_N = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, first + jnp.arange(N))
        ids_NT, done_N = jnp.zeros((N, T), jnp.uint8), jnp.zeros(N, bool)
        for B, places in passes(rows(config, N), T, jax.default_backend() != "cpu"):
            ids_NT, done_N = one_pass(params, key_N, ids_NT, done_N, B, places, own)
        return ids_NT

    return sample
