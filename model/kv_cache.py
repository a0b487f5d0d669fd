"""Keys and values of the symbols read so far, in a ring whose size is fixed from the start.

Axes: L layers, B batch, H heads, S places in the ring, K head width.

All rows write to the same place of the ring at the same time, whatever their own positions: one cheap update, and a
row that begins a new sample needs nothing but its position set to 0, since attention looks back only that far.
[B, H, S, K] was the fastest of five layouts on a CPU.
"""

import jax
import jax.numpy as jnp
from flax import struct

from model.config import ModelConfig


class LayerCache(struct.PyTreeNode):
    """One layer's share of the cache."""

    k_BHSK: jax.Array
    v_BHSK: jax.Array


class KVCache(struct.PyTreeNode):
    """What attention may look back on."""

    layers: tuple[LayerCache, ...]
    position_B: jax.Array  # int32: symbols that each row has read
    time: jax.Array  # int32 scalar: symbols written by all rows; the next one goes to place time % S


def init_cache(config: ModelConfig, batch_size: int, places: int) -> KVCache:
    """An empty cache for `batch_size` sequences of up to `places` symbols."""
    zeros = jnp.zeros((batch_size, config.num_heads, places, config.head_width), config.dtype)
    layers = tuple(LayerCache(zeros, zeros) for _ in range(config.num_layers))
    return KVCache(layers, jnp.zeros(batch_size, jnp.int32), jnp.int32(0))


def visible_places(cache: KVCache) -> jax.Array:
    """Which places the next symbol of each row sees, its own included, bool_BS."""
    places = cache.layers[0].k_BHSK.shape[2]
    age_S = (cache.time - jnp.arange(places)) % places
    return age_S[None, :] <= cache.position_B[:, None]


def write(layer: LayerCache, k_BH1K: jax.Array, v_BH1K: jax.Array, time: jax.Array) -> LayerCache:
    """Puts one symbol's key and value of every row into the ring."""
    start = (0, 0, time % layer.k_BHSK.shape[2], 0)
    return LayerCache(
        jax.lax.dynamic_update_slice(layer.k_BHSK, k_BH1K, start),
        jax.lax.dynamic_update_slice(layer.v_BHSK, v_BH1K, start),
    )
