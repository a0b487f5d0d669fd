"""Decoder-only transformer (GPT-2's pre-norm blocks), in Flax Linen.

Axes: B batch, T symbols, D width, F MLP width, H heads, K head width, S places seen, V vocabulary.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from model.config import ModelConfig
from model.dropout import Dropout, DropoutKey
from model.kv_cache import KVCache, LayerCache, visible_places, write

LONG = 128  # windows from here on are attended in two halves; below, more and smaller products cost more


def rotate(x_BTHK: jax.Array, position_BT: jax.Array) -> jax.Array:
    """Rotary positions (Su et al., arXiv 2104.09864): turns pairs of coordinates by position-dependent angles."""
    half = x_BTHK.shape[-1] // 2
    frequency_K = 10_000.0 ** (-jnp.arange(half) / half)
    angle_BT1K = (position_BT[:, :, None] * frequency_K[None, None, :])[:, :, None, :]
    cos, sin = jnp.cos(angle_BT1K), jnp.sin(angle_BT1K)
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


@jax.custom_vjp
def product(x_ND: jax.Array, w_DF: jax.Array) -> jax.Array:
    """x @ w, with a gradient that XLA's CPU backend takes at full speed."""
    return x_ND @ w_DF


def _product_forward(x_ND: jax.Array, w_DF: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x_ND @ w_DF, (x_ND, w_DF)


def _product_backward(saved: tuple[jax.Array, jax.Array], dy_NF: jax.Array) -> tuple[jax.Array, jax.Array]:
    x_ND, w_DF = saved
    if x_ND.shape[1] <= dy_NF.shape[1]:
        return dy_NF @ w_DF.T, x_ND.T @ dy_NF
    # Reading the wide matrix against its rows is half as fast: the narrow one is transposed, once, and the result back.
    # Without barriers XLA removes both transpositions.
    dw_FD = jax.lax.optimization_barrier(dy_NF.T) @ x_ND
    return dy_NF @ w_DF.T, jax.lax.optimization_barrier(dw_FD).T


product.defvjp(_product_forward, _product_backward)


class Dense(nn.Module):
    """A linear map of the last axis without bias, initialised as GPT-2's.

    All other axes are one to it: XLA's CPU gradient of a product with one batch axis is twice as fast.
    """

    config: ModelConfig
    features: int
    stddev: float = 0.02

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        D = x.shape[-1]
        kernel_DF = self.param("kernel", nn.initializers.normal(self.stddev), (D, self.features))
        y_NF = product(x.reshape(-1, D).astype(self.config.dtype), kernel_DF.astype(self.config.dtype))
        return y_NF.reshape(*x.shape[:-1], self.features)


def attend(
    q_BHTK: jax.Array, k_BHSK: jax.Array, v_BHSK: jax.Array, visible_BTS: jax.Array, drop: Callable
) -> jax.Array:
    """Softmax attention of every query to the places it sees, y_BHTK; scores in float32."""
    score_BHTS = jnp.einsum("BHTK,BHSK->BHTS", q_BHTK, k_BHSK, preferred_element_type=jnp.float32)
    score_BHTS = jnp.where(visible_BTS[:, None], score_BHTS * q_BHTK.shape[-1] ** -0.5, -jnp.inf)
    weight_BHTS = drop(jax.nn.softmax(score_BHTS, axis=-1).astype(q_BHTK.dtype))
    return jnp.einsum("BHTS,BHSK->BHTK", weight_BHTS, v_BHSK)


@dataclasses.dataclass(frozen=True)
class Context:
    """Where the symbols that are read stand, the same for all layers."""

    position_BT: jax.Array  # in their sequences; B is 1 where all rows agree
    visible_BTS: jax.Array  # places that each sees
    time: jax.Array | None = None  # of the cache's ring; None without a cache
    first_row: jax.Array | int | None = None  # of a batch, while training: see model/dropout.py
    kept: jax.Array | None = None  # likewise


class Attention(nn.Module):
    """Causal multi-head self-attention; with a cache, of one new symbol a row to all that its row sees."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array, at: Context, cache: LayerCache | None) -> tuple[jax.Array, LayerCache | None]:
        c = self.config
        B, T, _ = x_BTD.shape
        qkv_BTD = Dense(c, 3 * c.width, name="qkv")(x_BTD)
        q_BTHK, k_BTHK, v_BTHK = (
            part.reshape(B, T, c.num_heads, c.head_width) for part in jnp.split(qkv_BTD, 3, axis=-1)
        )
        if c.positions == "rotary":
            q_BTHK, k_BTHK = rotate(q_BTHK, at.position_BT), rotate(k_BTHK, at.position_BT)
        q, k, v = (x.transpose(0, 2, 1, 3) for x in (q_BTHK, k_BTHK, v_BTHK))
        drop = Dropout(c.dropout, at.first_row, at.kept)
        if cache is not None and at.time is not None:
            cache = write(cache, k, v, at.time)
            y_BHTK = attend(q, cache.k_BHSK, cache.v_BHSK, at.visible_BTS, drop)
        elif T >= LONG:  # the first half never sees the second: a quarter of the scores need not be computed
            h = T // 2
            first = attend(q[:, :, :h], k[:, :, :h], v[:, :, :h], at.visible_BTS[:, :h, :h], drop)
            y_BHTK = jnp.concatenate([first, attend(q[:, :, h:], k, v, at.visible_BTS[:, h:], drop)], axis=2)
        else:
            y_BHTK = attend(q, k, v, at.visible_BTS, drop)
        y_BTD = y_BHTK.transpose(0, 2, 1, 3).reshape(B, T, c.width)
        return Dense(c, c.width, 0.02 * (2 * c.num_layers) ** -0.5, name="out")(y_BTD), cache


class Block(nn.Module):
    """Attention, then MLP, each on a normed copy and added to the residual stream."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array, at: Context, cache: LayerCache | None) -> tuple[jax.Array, LayerCache | None]:
        c = self.config
        drop = Dropout(c.dropout, at.first_row, at.kept)
        y_BTD, cache = Attention(c, name="attention")(Norm(c, name="norm_1")(x_BTD), at, cache)
        x_BTD = x_BTD + drop(y_BTD)
        h_BTF = nn.gelu(Dense(c, 4 * c.width, name="mlp_in")(Norm(c, name="norm_2")(x_BTD)))
        y_BTD = Dense(c, c.width, 0.02 * (2 * c.num_layers) ** -0.5, name="mlp_out")(h_BTF)
        return x_BTD + drop(y_BTD), cache


class Transformer(nn.Module):
    """Logits of the next symbol, and the newer cache if there is one; see `forward`, `forward_cached`.

    The output layer is computed in float32, whatever the activations are: logits in bfloat16 have ties.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        ids_BT: jax.Array,
        cache: KVCache | None = None,
        first_row: jax.Array | int | None = None,
        kept: jax.Array | None = None,
    ) -> tuple[jax.Array, KVCache | None]:
        c = self.config
        if cache is None:
            position_T = jnp.arange(ids_BT.shape[1])
            visible_BTS = (position_T[None, :] <= position_T[:, None])[None]
            at = Context(position_T[None], visible_BTS, first_row=first_row, kept=kept)
        else:
            at = Context(cache.position_B[:, None], visible_places(cache)[:, None], cache.time)
        init = nn.initializers.normal(0.02)
        embedding_VD = self.param("embedding", init, (c.vocab_size, c.width))
        # A vocabulary of eight: one-hot products are cheaper to differentiate than a gather.
        x_BTD = jax.nn.one_hot(ids_BT, c.vocab_size, dtype=c.dtype) @ embedding_VD.astype(c.dtype)
        if c.positions == "learned":
            position_SD = self.param("positions", init, (c.context_length, c.width))
            place_BTD = position_SD[at.position_BT].astype(c.dtype)
            x_BTD = x_BTD + jnp.broadcast_to(place_BTD, x_BTD.shape)
        x_BTD = Dropout(c.dropout, at.first_row, at.kept)(x_BTD)
        layers: list[LayerCache] = []
        for i in range(c.num_layers):
            before = None if cache is None else cache.layers[i]
            x_BTD, after = Block(c, name=f"block_{i}")(x_BTD, at, before)
            layers += [] if after is None else [after]
        x_BTD = Norm(c, name="norm")(x_BTD)
        if c.tie_embeddings:
            logits_BTV = x_BTD.astype(jnp.float32) @ embedding_VD.T
        else:
            logits_BTV = Dense(dataclasses.replace(c, dtype="float32"), c.vocab_size, name="head")(x_BTD)
        return logits_BTV, None if cache is None else KVCache(tuple(layers), cache.position_B + 1, cache.time + 1)


def init_params(config: ModelConfig, key: jax.Array) -> dict:
    """Fresh parameters, a pytree of float32 arrays."""
    return Transformer(config).init(key, jnp.zeros((1, 1), jnp.int32))["params"]


def forward(
    config: ModelConfig, params: dict, ids_BT: jax.Array | np.ndarray, dropout_key: DropoutKey | None = None
) -> jax.Array:
    """Reads whole sequences, int; returns logits_BTV, float32. A dropout key means training."""
    if dropout_key is None:
        result: Any = Transformer(config).apply({"params": params}, ids_BT)
    else:
        key, first_row, kept = dropout_key
        rngs = {"dropout": key}
        result = Transformer(config).apply({"params": params}, ids_BT, first_row=first_row, kept=kept, rngs=rngs)
    return result[0]


def forward_cached(
    config: ModelConfig, params: dict, id_B: jax.Array | np.ndarray, cache: KVCache
) -> tuple[jax.Array, KVCache]:
    """Reads the next symbol of sequences that are partly cached; returns logits_BV, float32, and the newer cache."""
    result: Any = Transformer(config).apply({"params": params}, id_B[:, None], cache)
    return result[0][:, 0], result[1]
