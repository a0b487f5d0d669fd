"""The models, by name: a new one is a file and a line here. What the rest of the project calls of any of them.

A model is four pure functions of a `ModelConfig`:

    init_params(config, key) -> params, a nested dict of float32 arrays
    forward(config, params, ids_BT, dropout_key=None) -> logits_BTV, float32, each of what follows its symbol; while
        training, a `DropoutKey`: a row's random numbers depend on its number in the batch alone (model/dropout.py)
    init_cache(config, batch_size, places) -> cache, a pytree with `position_B`: symbols that each row has read
    forward_cached(config, params, id_B, cache) -> (logits_BV, cache): the same, a symbol at a time

A row whose `position_B` was set to 0 begins anew: whatever it read before must not matter.
"""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from model import kv_cache, transformer
from model.config import ModelConfig
from model.dropout import DropoutKey


class Forward(Protocol):
    """Reads whole sequences, of up to `context_length` symbols."""

    def __call__(
        self, config: ModelConfig, params: Any, ids_BT: jax.Array | np.ndarray, dropout_key: DropoutKey | None = None
    ) -> jax.Array: ...


class Model(NamedTuple):
    """One architecture."""

    init_params: Any  # (config, key) -> params
    forward: Forward
    init_cache: Any  # (config, batch_size, places) -> cache
    forward_cached: Any  # (config, params, id_B, cache) -> (logits_BV, cache)


MODELS: dict[str, Model] = {
    "transformer": Model(transformer.init_params, transformer.forward, kv_cache.init_cache, transformer.forward_cached),
}


def model_of(config: ModelConfig) -> Model:
    """The architecture of a configuration. Raises ValueError for an unknown one."""
    if config.architecture not in MODELS:
        raise ValueError(f"model.architecture = {config.architecture}: allowed are {', '.join(MODELS)}")
    return MODELS[config.architecture]


def num_params(config: ModelConfig) -> int:
    """Trained scalars, from the shapes alone."""
    shapes = jax.eval_shape(lambda key: model_of(config).init_params(config, key), jax.random.key(0))
    return sum(x.size for x in jax.tree.leaves(shapes))


def negative_log_likelihood(logits_BTV: jax.Array, target_BT: jax.Array | np.ndarray) -> jax.Array:
    """Nats of every target symbol, float32_BT."""
    log_p_BTV = jax.nn.log_softmax(logits_BTV.astype(jnp.float32), axis=-1)
    return -jnp.sum(log_p_BTV * jax.nn.one_hot(target_BT, logits_BTV.shape[-1]), axis=-1)
