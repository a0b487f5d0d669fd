"""Samples from a model, in one program: a static key-value cache and a loop over positions.

Axes: N samples, B samples written side by side, T context length, V vocabulary.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from model.config import ModelConfig, SampleConfig
from model.kv_cache import init_cache
from model.transformer import forward_cached

EOS = 0  # what a sample begins after and ends before


def filter_logits(logits_BV: jax.Array, config: SampleConfig) -> jax.Array:
    """Applies temperature, top-k and top-p; excluded symbols get minus infinity."""
    logits_BV = logits_BV / config.temperature
    descending_BV = jnp.sort(logits_BV, axis=-1, descending=True)
    if config.top_k:
        logits_BV = jnp.where(logits_BV >= descending_BV[:, config.top_k - 1, None], logits_BV, -jnp.inf)
    if config.top_p < 1:
        descending_BV = jnp.sort(logits_BV, axis=-1, descending=True)
        p_BV = jax.nn.softmax(descending_BV, axis=-1)
        before_BV = jnp.cumsum(p_BV, axis=-1) - p_BV  # mass of the more probable symbols
        kept_BV = jnp.where(before_BV < config.top_p, descending_BV, jnp.inf)
        logits_BV = jnp.where(logits_BV >= kept_BV.min(axis=-1, keepdims=True), logits_BV, -jnp.inf)
    return logits_BV


def choose(key: jax.Array, logits_BV: jax.Array, config: SampleConfig) -> jax.Array:
    """The next symbol of every row, int32_B."""
    if config.temperature == 0:
        return jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
    return jax.random.categorical(key, filter_logits(logits_BV, config), axis=-1).astype(jnp.int32)


def sampler(model: ModelConfig, config: SampleConfig, num_samples: int) -> Callable[[dict, jax.Array], jax.Array]:
    """Returns sample(params, key) -> uint8 ids_NT: what follows an `<eos>`, filled with `<eos>` from its end on.

    A sample that does not end is cut at context_length symbols. Batches stop when their last sample has ended.
    """
    T = model.context_length
    batch_size = min(config.batch_size, num_samples)
    num_batches = -(-num_samples // batch_size)

    def sample_batch(params: dict, key: jax.Array) -> jax.Array:
        def unfinished(carry: tuple) -> jax.Array:
            _, t, _, done_B, _ = carry
            return (t < T) & ~jnp.all(done_B)

        def write(carry: tuple) -> tuple:
            ids_BT, t, symbol_B, done_B, cache = carry
            logits_B1V, cache = forward_cached(model, params, symbol_B[:, None], cache)
            symbol_B = choose(jax.random.fold_in(key, t), logits_B1V[:, 0], config)
            symbol_B = jnp.where(done_B, EOS, symbol_B)
            ids_BT = jax.lax.dynamic_update_slice(ids_BT, symbol_B[:, None].astype(jnp.uint8), (0, t))
            return ids_BT, t + 1, symbol_B, done_B | (symbol_B == EOS), cache

        ids_BT = jnp.zeros((batch_size, T), jnp.uint8)
        first_B = jnp.full(batch_size, EOS, jnp.int32)
        start = (ids_BT, jnp.int32(0), first_B, jnp.zeros(batch_size, bool), init_cache(model, batch_size))
        return jax.lax.while_loop(unfinished, write, start)[0]

    def sample(params: dict, key: jax.Array) -> jax.Array:
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(num_batches))
        ids_NT = jax.lax.map(lambda k: sample_batch(params, k), keys).reshape(-1, T)
        return ids_NT[:num_samples]

    return sample
