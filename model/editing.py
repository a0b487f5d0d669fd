"""Symbols of given expressions that a model finds too probable, drawn anew from the model.

Axes: N expressions, B of them read at once, T context length, S = T + 1, V vocabulary.
"""

import jax
import jax.numpy as jnp
import numpy as np

from model.config import ModelConfig
from model.likelihood import in_batches
from model.models import model_of
from model.sampling import EOS


def edit_expressions(
    config: ModelConfig,
    params: dict,
    ids: jax.Array | np.ndarray,
    length_N: jax.Array | np.ndarray,
    key_N: jax.Array,
    threshold: jax.Array | float,
    top_k: jax.Array | int,
) -> jax.Array:
    """The expressions as they are afterwards, uint8_NT, each as long as before.

    A symbol whose probability is above `threshold` is drawn anew from the `top_k` most probable ones, `<eos>` left out,
    at temperature 1. All probabilities are those after the symbols that stood there before: one forward pass.

    Args:
      ids: uint8 [N, S]: `<eos>`, the symbols, then `<eos>`s; see `lay_out_expressions`.
      length_N: symbols of each.
      key_N: a random stream for each expression.
    """
    forward = model_of(config).forward

    def batch(ids_BS: jax.Array, length_B: jax.Array, key_data: jax.Array) -> jax.Array:
        ids_BS = ids_BS.astype(jnp.int32)
        logits_BTV = forward(config, params, ids_BS[:, :-1]).astype(jnp.float32)
        symbol_BT = ids_BS[:, 1:]
        p_BTV = jax.nn.softmax(logits_BTV, axis=-1)
        p_BT = jnp.take_along_axis(p_BTV, symbol_BT[:, :, None], axis=-1)[:, :, 0]
        is_edited_BT = (p_BT > threshold) & (jnp.arange(symbol_BT.shape[1])[None, :] < length_B[:, None])
        drawn_BT = jax.vmap(jax.random.categorical)(
            jax.random.wrap_key_data(key_data, impl=impl), _most_probable(logits_BTV, top_k)
        )
        return jnp.where(is_edited_BT, drawn_BT, symbol_BT).astype(jnp.uint8)

    impl = jax.random.key_impl(key_N)
    return in_batches(config, batch, ids, length_N, jax.random.key_data(key_N))


def _most_probable(logits_BTV: jax.Array, top_k: jax.Array | int) -> jax.Array:
    """Those of all symbols but `<eos>`; minus infinity for the others."""
    logits_BTV = logits_BTV.at[..., EOS].set(-jnp.inf)
    descending_BTV = jnp.sort(logits_BTV, axis=-1, descending=True)
    place = jnp.minimum(top_k, logits_BTV.shape[-1] - 1) - 1
    return jnp.where(logits_BTV >= jnp.take(descending_BTV, place, axis=-1)[..., None], logits_BTV, -jnp.inf)
