"""The probability a model gives to whole expressions.

Axes: N expressions, B of them read at once, T context length, S = T + 1, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.config import CPU_SYMBOLS, ModelConfig
from model.models import Model, model_of, negative_log_likelihood

ROWS = 256  # expressions that an accelerator reads at once
FEWEST = 32  # places below which a batch is not cut


def rows_at_once(places: int, accelerator: bool) -> int:
    """B: on a CPU, so few that what is computed of them stays in the cache."""
    return ROWS if accelerator else max(1, CPU_SYMBOLS // places)


def places_of_batches(context_length: int) -> list[int]:
    """Symbols, `<eos>` among them, that an expression is padded to: the least that holds it."""
    places = [context_length]
    while places[0] >= 2 * FEWEST:
        places.insert(0, -(-places[0] // 2))
    return places


def lay_out_expressions(expressions: Sequence[bytes], context_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Expressions as `expression_nll` reads them: uint8 [N, T + 1] and int32 lengths; longer ones are cut at T."""
    length_N = np.array([min(len(e), context_length) for e in expressions], np.int32)
    ids = np.zeros((len(expressions), context_length + 1), np.uint8)
    for row, expression, n in zip(ids, expressions, length_N.tolist(), strict=True):
        row[1 : 1 + n] = np.frombuffer(expression[:n], np.uint8)
    return ids, length_N


def in_batches(
    config: ModelConfig,
    function: Callable[..., jax.Array],
    ids: jax.Array | np.ndarray,
    length_N: jax.Array | np.ndarray,
    *others: jax.Array | np.ndarray,
) -> jax.Array:
    """A function of expressions, of few and equally long ones at a time.

    Args:
      function: (ids_BS, length_B, *others) -> [B] or [B, S - 1], where S is that of the batch.
      ids, length_N: see `expression_nll`.
      others: of other arrays, their rows.

    Returns:
      [N], or [N, T], zeros after what was read of each.
    """
    T, accelerator = config.context_length, jax.default_backend() != "cpu"
    rows = tuple(jnp.asarray(x) for x in (ids, length_N, *others))
    N = rows[0].shape[0]
    needed_N = jnp.minimum(rows[1] + 1, T)
    order_N = jnp.argsort(needed_N, stable=True)

    def read(places: int, begin: jax.Array | int, end: jax.Array, result: jax.Array) -> jax.Array:
        B = min(rows_at_once(places, accelerator), N)

        def batch(i: jax.Array, result: jax.Array) -> jax.Array:
            rank_B = begin + i * B + jnp.arange(B)
            row_B = order_N[jnp.minimum(rank_B, N - 1)]
            ids_BS, *others_B = (x[row_B] for x in rows)
            to = (jnp.where(rank_B < end, row_B, N), slice(places))[: result.ndim]
            return result.at[to].set(function(ids_BS[:, : places + 1], *others_B), mode="drop")

        return jax.lax.fori_loop(0, (end - begin + B - 1) // B, batch, result)

    form = jax.eval_shape(function, *rows)
    result = jnp.zeros(form.shape, form.dtype)
    begin: jax.Array | int = 0
    for places in places_of_batches(T):
        end = jnp.sum(needed_N <= places)
        result, begin = read(places, begin, end, result), end
    return result


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
    forward = (net or model_of(config)).forward

    def batch(ids_BS: jax.Array, length_B: jax.Array) -> jax.Array:
        ids_BS = ids_BS.astype(jnp.int32)
        logits_BTV = forward(config, params, ids_BS[:, :-1])
        if sharpen is not None:
            logits_BTV = jnp.maximum(sharpen(logits_BTV), -1e9)
        nll_BT = negative_log_likelihood(logits_BTV, ids_BS[:, 1:])
        return jnp.sum(nll_BT * (jnp.arange(nll_BT.shape[1])[None, :] <= length_B[:, None]), axis=1)

    return in_batches(config, batch, ids, length_N)
