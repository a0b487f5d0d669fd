"""Two models of one shape as one: its logits go away from those of the second model.

    logits = (1 + weight) model - weight copy

What `guided` returns is a `Model` (model/models.py) of `Guided` parameters, sampled and judged like any other.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from model.config import ModelConfig
from model.models import Model


class Guided(struct.PyTreeNode):
    """The parameters of both, and how far one goes away from the other."""

    model: dict
    copy: dict
    weight: jax.Array  # float32; 0: the model alone


class Caches(struct.PyTreeNode):
    """What both have read."""

    model: Any
    copy: Any
    position_B: jax.Array  # int32: symbols that each row has read


def guided(net: Model) -> Model:
    """The architecture of a pair of models of the architecture `net`; its parameters can only be given."""

    def forward(
        config: ModelConfig, params: Guided, ids_BT: jax.Array | np.ndarray, dropout_key: jax.Array | None = None
    ) -> jax.Array:
        model_BTV, copy_BTV = (net.forward(config, p, ids_BT, dropout_key) for p in (params.model, params.copy))
        return _away(model_BTV, copy_BTV, params.weight)

    def init_cache(config: ModelConfig, batch_size: int, places: int) -> Caches:
        model, copy = (net.init_cache(config, batch_size, places) for _ in range(2))
        return Caches(model, copy, jnp.zeros(batch_size, jnp.int32))

    def forward_cached(config: ModelConfig, params: Guided, id_B: jax.Array, cache: Caches) -> tuple:
        model, copy = (c.replace(position_B=cache.position_B) for c in (cache.model, cache.copy))
        model_BV, model = net.forward_cached(config, params.model, id_B, model)
        copy_BV, copy = net.forward_cached(config, params.copy, id_B, copy)
        return _away(model_BV, copy_BV, params.weight), Caches(model, copy, model.position_B)

    return Model(None, forward, init_cache, forward_cached)


def _away(model: jax.Array, copy: jax.Array, weight: jax.Array) -> jax.Array:
    return model + weight * (model - copy)
