"""The probability a model gives to whole expressions.

Axes: N expressions, B of them read at once, T context length, S = T + 1, V vocabulary.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from model.config import CPU_SYMBOLS, ModelConfig
from model.models import model_of, negative_log_likelihood

ROWS = 256  # expressions that an accelerator reads at once


def rows_at_once(config: ModelConfig, accelerator: bool) -> int:
    """B: on a CPU, so few that what is computed of them stays in the cache."""
    return ROWS if accelerator else max(1, CPU_SYMBOLS // config.context_length)


def lay_out_expressions(expressions: Sequence[bytes], context_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Expressions as `expression_nll` reads them: uint8 [N, T + 1] and int32 lengths; longer ones are cut at T."""
    length_N = np.array([min(len(e), context_length) for e in expressions], np.int32)
    ids = np.zeros((len(expressions), context_length + 1), np.uint8)
    for row, expression, n in zip(ids, expressions, length_N.tolist(), strict=True):
        row[1 : 1 + n] = np.frombuffer(expression[:n], np.uint8)
    return ids, length_N


def expression_nll(
    config: ModelConfig,
    params: dict,
    ids: jax.Array | np.ndarray,
    length_N: jax.Array | np.ndarray,
    sharpen: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """-log M(e) in nats of N expressions, float32_N, at temperature 1, the closing `<eos>` included.

    Args:
      ids: uint8 [N, S]: `<eos>`, the symbols, then `<eos>`s.
      length_N: symbols of each. One that fills the context has no closing `<eos>`: a sample would be cut there.
      sharpen: logits_BTV -> logits_BTV, of which M then consists instead; excluded symbols cost some 1e9 nats.
    """
    T, net = config.context_length, model_of(config)

    def batch(args: tuple[jax.Array, jax.Array]) -> jax.Array:
        ids_BS, length_B = args
        ids_BS = ids_BS.astype(jnp.int32)
        logits_BTV = net.forward(config, params, ids_BS[:, :-1])
        if sharpen is not None:
            logits_BTV = jnp.maximum(sharpen(logits_BTV), -1e9)
        nll_BT = negative_log_likelihood(logits_BTV, ids_BS[:, 1:])
        return jnp.sum(nll_BT * (jnp.arange(T)[None, :] <= length_B[:, None]), axis=1)

    N = length_N.shape[0]
    B = min(rows_at_once(config, jax.default_backend() != "cpu"), N)
    padding = -N % B
    ids = jnp.pad(ids, ((0, padding), (0, 0))).reshape(-1, B, T + 1)
    lengths = jnp.pad(length_N, (0, padding)).reshape(-1, B)
    return jax.lax.map(batch, (ids, lengths)).reshape(-1)[:N]
