"""Decoder-only transformer (GPT-2's pre-norm blocks), in Flax Linen.

Axes: B batch, T symbols, D width, F MLP width, H heads, K head width, S places attended to, V vocabulary.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from model.config import ModelConfig
from model.kv_cache import KVCache, LayerCache


def rotate(x_BTHK: jax.Array, position_T: jax.Array) -> jax.Array:
    """Rotary positions (Su et al., arXiv 2104.09864): turns pairs of coordinates by position-dependent angles."""
    half = x_BTHK.shape[-1] // 2
    frequency_K = 10_000.0 ** (-jnp.arange(half) / half)
    angle_T1K = (position_T[:, None] * frequency_K[None, :])[:, None, :]
    cos, sin = jnp.cos(angle_T1K)[None], jnp.sin(angle_T1K)[None]
    a, b = jnp.split(x_BTHK.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x_BTHK.dtype)


class Norm(nn.Module):
    """LayerNorm or RMSNorm, without bias, in float32."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        if self.config.norm == "rmsnorm":
            y_BTD = nn.RMSNorm(dtype=jnp.float32, name="rms")(x_BTD)
        else:
            y_BTD = nn.LayerNorm(use_bias=False, dtype=jnp.float32, name="layer")(x_BTD)
        return y_BTD.astype(self.config.dtype)


def dense(config: ModelConfig, x: jax.Array, features: int, name: str, stddev: float = 0.02) -> jax.Array:
    """A linear map of the last axis without bias, initialised as GPT-2's; a submodule of the calling module.

    All other axes are one to it: XLA's CPU gradient of a product with one batch axis is twice as fast.
    """
    layer = nn.Dense(
        features, use_bias=False, dtype=config.dtype, kernel_init=nn.initializers.normal(stddev), name=name
    )
    return layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], features)


class Attention(nn.Module):
    """Causal multi-head self-attention; with a cache, of the new symbols to all cached ones."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, position_T: jax.Array, cache: LayerCache | None, train: bool
    ) -> tuple[jax.Array, LayerCache | None]:
        c = self.config
        B, T, _ = x_BTD.shape
        qkv_BTD = dense(c, x_BTD, 3 * c.width, "qkv")
        q_BTHK, k_BTHK, v_BTHK = (
            part.reshape(B, T, c.num_heads, c.head_width) for part in jnp.split(qkv_BTD, 3, axis=-1)
        )
        if c.positions == "rotary":
            q_BTHK, k_BTHK = rotate(q_BTHK, position_T), rotate(k_BTHK, position_T)
        q_BHTK, k_BHSK, v_BHSK = (x.transpose(0, 2, 1, 3) for x in (q_BTHK, k_BTHK, v_BTHK))
        if cache is not None:
            start = (0, 0, position_T[0], 0)
            k_BHSK = jax.lax.dynamic_update_slice(cache.k_BHSK, k_BHSK, start)
            v_BHSK = jax.lax.dynamic_update_slice(cache.v_BHSK, v_BHSK, start)
            cache = LayerCache(k_BHSK, v_BHSK)

        visible_TS = jnp.arange(k_BHSK.shape[2])[None, :] <= position_T[:, None]
        score_BHTS = jnp.einsum("BHTK,BHSK->BHTS", q_BHTK, k_BHSK, preferred_element_type=jnp.float32)
        score_BHTS = jnp.where(visible_TS[None, None], score_BHTS * c.head_width**-0.5, -jnp.inf)
        weight_BHTS = jax.nn.softmax(score_BHTS, axis=-1).astype(c.dtype)
        weight_BHTS = nn.Dropout(c.dropout, deterministic=not train)(weight_BHTS)
        y_BHTK = jnp.einsum("BHTS,BHSK->BHTK", weight_BHTS, v_BHSK)
        y_BTD = y_BHTK.transpose(0, 2, 1, 3).reshape(B, T, c.width)
        return dense(c, y_BTD, c.width, "out", 0.02 * (2 * c.num_layers) ** -0.5), cache


class Block(nn.Module):
    """Attention, then MLP, each on a normed copy and added to the residual stream."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, position_T: jax.Array, cache: LayerCache | None, train: bool
    ) -> tuple[jax.Array, LayerCache | None]:
        c = self.config
        drop = nn.Dropout(c.dropout, deterministic=not train)
        y_BTD, cache = Attention(c, name="attention")(Norm(c, name="norm_1")(x_BTD), position_T, cache, train)
        x_BTD = x_BTD + drop(y_BTD)
        h_BTF = nn.gelu(dense(c, Norm(c, name="norm_2")(x_BTD), 4 * c.width, "mlp_in"))
        y_BTD = dense(c, h_BTF, c.width, "mlp_out", 0.02 * (2 * c.num_layers) ** -0.5)
        return x_BTD + drop(y_BTD), cache


class Transformer(nn.Module):
    """Logits of the next symbol, float32, and the longer cache if there is one; see `forward`, `forward_cached`."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self, ids_BT: jax.Array, cache: KVCache | None = None, train: bool = False
    ) -> tuple[jax.Array, KVCache | None]:
        c = self.config
        T = ids_BT.shape[1]
        init = nn.initializers.normal(0.02)
        embedding_VD = self.param("embedding", init, (c.vocab_size, c.width))
        position_T = jnp.arange(T) + (0 if cache is None else cache.length)
        # A vocabulary of eight: one-hot products are cheaper to differentiate than a gather.
        x_BTD = jax.nn.one_hot(ids_BT, c.vocab_size, dtype=c.dtype) @ embedding_VD.astype(c.dtype)
        if c.positions == "learned":
            position_SD = self.param("positions", init, (c.context_length, c.width))
            x_BTD = x_BTD + position_SD[position_T].astype(c.dtype)[None]
        x_BTD = nn.Dropout(c.dropout, deterministic=not train)(x_BTD)
        layers: list[LayerCache] = []
        for i in range(c.num_layers):
            before = None if cache is None else cache.layers[i]
            x_BTD, after = Block(c, name=f"block_{i}")(x_BTD, position_T, before, train)
            layers += [] if after is None else [after]
        x_BTD = Norm(c, name="norm")(x_BTD)
        if c.tie_embeddings:
            logits_BTV = x_BTD @ embedding_VD.astype(c.dtype).T
        else:
            logits_BTV = dense(c, x_BTD, c.vocab_size, "head")
        logits_BTV = logits_BTV.astype(jnp.float32)
        return logits_BTV, None if cache is None else KVCache(tuple(layers), cache.length + T)


def init_params(config: ModelConfig, key: jax.Array) -> dict:
    """Fresh parameters, a pytree of float32 arrays."""
    return Transformer(config).init(key, jnp.zeros((1, 1), jnp.int32))["params"]


def forward(
    config: ModelConfig, params: dict, ids_BT: jax.Array | np.ndarray, dropout_key: jax.Array | None = None
) -> jax.Array:
    """Reads whole sequences, int; returns logits_BTV, float32. A dropout key means training."""
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    result: Any = Transformer(config).apply({"params": params}, ids_BT, train=rngs is not None, rngs=rngs)
    return result[0]


def forward_cached(
    config: ModelConfig, params: dict, ids_BT: jax.Array | np.ndarray, cache: KVCache
) -> tuple[jax.Array, KVCache]:
    """Reads the next T symbols of sequences that are partly cached; returns logits_BTV and the longer cache."""
    result: Any = Transformer(config).apply({"params": params}, ids_BT, cache)
    return result


def count_params(params: dict) -> int:
    """Number of trained scalars."""
    return sum(x.size for x in jax.tree.leaves(params))


def negative_log_likelihood(logits_BTV: jax.Array, target_BT: jax.Array | np.ndarray) -> jax.Array:
    """Nats of every target symbol, float32_BT."""
    log_p_BTV = jax.nn.log_softmax(logits_BTV.astype(jnp.float32), axis=-1)
    return -jnp.sum(log_p_BTV * jax.nn.one_hot(target_BT, logits_BTV.shape[-1]), axis=-1)
