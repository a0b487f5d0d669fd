"""Keys and values of the symbols read so far, at a size fixed from the start.

Axes: L layers, B batch, H heads, S places in the cache, K head width.
"""

import jax
import jax.numpy as jnp
from flax import struct

from model.config import ModelConfig


@struct.dataclass
class LayerCache:
    """One layer's share of the cache."""

    k_BHSK: jax.Array
    v_BHSK: jax.Array


@struct.dataclass
class KVCache:
    """What attention may look back on. All rows of a batch are at the same position."""

    layers: tuple[LayerCache, ...]
    length: jax.Array  # int32 scalar: places filled


def init_cache(config: ModelConfig, batch_size: int) -> KVCache:
    """An empty cache for `batch_size` sequences of up to context_length symbols."""
    shape = (batch_size, config.num_heads, config.context_length, config.head_width)
    zeros = jnp.zeros(shape, config.dtype)
    return KVCache(tuple(LayerCache(zeros, zeros) for _ in range(config.num_layers)), jnp.int32(0))
