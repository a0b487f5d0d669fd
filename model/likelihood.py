"""The probability a model gives to whole expressions.

Axes: N expressions, B of them read at once, T context length, S = T + 1, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.config import ModelConfig
from model.models import Model, model_of, negative_log_likelihood

BATCH = 256  # expressions read at once


def lay_out_expressions(expressions: Sequence[bytes], context_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Expressions as `expression_nll` reads them: uint8 [N, T + 1] and int32 lengths; longer ones are cut at T."""
    length_N = np.array([min(len(e), context_length) for e in expressions], np.int32)
    ids = np.zeros((len(expressions), context_length + 1), np.uint8)
    for row, expression, n in zip(ids, expressions, length_N.tolist(), strict=True):
        row[1 : 1 + n] = np.frombuffer(expression[:n], np.uint8)
    return ids, length_N


def in_batches(function: Callable[..., jax.Array], *arrays: jax.Array | np.ndarray) -> jax.Array:
    """A function of the rows of arrays, of at most BATCH rows at a time. Rows that fill the last batch up are zeros."""
    N = arrays[0].shape[0]
    B = min(BATCH, N)

    def cut(x: jax.Array) -> jax.Array:
        return jnp.pad(x, ((0, -N % B), *[(0, 0)] * (x.ndim - 1))).reshape(-1, B, *x.shape[1:])

    batches = tuple(cut(jnp.asarray(x)) for x in arrays)
    result = jax.lax.map(lambda batch: function(*batch), batches)
    return result.reshape(-1, *result.shape[2:])[:N]


def expression_nll(
    config: ModelConfig,
    params: Any,
    ids: jax.Array | np.ndarray,
    length_N: jax.Array | np.ndarray,
    sharpen: Callable[[jax.Array], jax.Array] | None = None,
    net: Model | None = None,
) -> jax.Array:
    """-log M(e) in nats of N expressions, float32_N, at temperature 1, the closing `<eos>` included.

    Args:
      ids: uint8 [N, S]: `<eos>`, the symbols, then `<eos>`s.
      length_N: symbols of each. One that fills the context has no closing `<eos>`: a sample would be cut there.
      sharpen: logits_BTV -> logits_BTV, of which M then consists instead; excluded symbols cost some 1e9 nats.
      net: whose parameters these are; None: the configuration's architecture.
    """
    T, forward = config.context_length, (net or model_of(config)).forward

    def batch(ids_BS: jax.Array, length_B: jax.Array) -> jax.Array:
        ids_BS = ids_BS.astype(jnp.int32)
        logits_BTV = forward(config, params, ids_BS[:, :-1])
        if sharpen is not None:
            logits_BTV = jnp.maximum(sharpen(logits_BTV), -1e9)
        nll_BT = negative_log_likelihood(logits_BTV, ids_BS[:, 1:])
        return jnp.sum(nll_BT * (jnp.arange(T)[None, :] <= length_B[:, None]), axis=1)

    return in_batches(batch, ids, length_N)
