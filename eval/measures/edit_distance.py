"""Edit distances between all pairs of expressions on an accelerator, reduced there to exact integer sums.

Myers' bit-parallel algorithm (J. ACM 46, 1999) in Hyyrö's form for patterns of several words (2003): a column of the
dynamic program is held as the signs of its vertical differences, one bit a cell, so that one symbol of the text costs
some twenty operations per word of 32 cells. Every pair of a tile takes these steps side by side.

Axes: R rows, the patterns; C columns, the texts; P bit planes of a symbol; W words of a pattern; T symbols of a
text; U distinct expressions. A row comes before its column in the order of lengths: patterns are the shorter ones.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MAX_LENGTH = 512  # symbols; longer patterns would make a large program
_PLANES = 4  # symbols below 16
_WORD = 32  # bits; 64 would need x64
_TILE = 1_024  # rows, and columns: the state of a tile is 8 MiB per word
_UNROLL = 8  # symbols per turn of the loop, divided by the words of a pattern: one kernel, its state in registers


class _Rows(NamedTuple):
    """Patterns of one tile, uint32."""

    planes_PWR: np.ndarray  # bit i of word w: bit p of the pattern's symbol 32 w + i
    mask_WR: np.ndarray  # the bits that belong to the pattern
    weight_R: np.ndarray  # 0 for padding


class _Columns(NamedTuple):
    """Texts of one tile."""

    symbol_TC: np.ndarray  # uint8, T = MAX_LENGTH: only as many are read as the longest has
    length_C: np.ndarray  # int32


def fits(distinct: Sequence, total_weight: int) -> bool:
    """Whether the expressions are symbols in `bytes`, and lengths and sums are within this kernel's bounds."""
    longest = max(map(len, distinct), default=0)
    if longest > MAX_LENGTH or total_weight * longest >= 2**32 or not all(isinstance(e, bytes) for e in distinct):
        return False
    return np.frombuffer(b"".join(distinct), np.uint8).max(initial=0) < 1 << _PLANES


def sums_of_shorter(
    distinct: Sequence[bytes], weight_U: np.ndarray, progress: Callable[[float], None] | None = None, tile: int = _TILE
) -> np.ndarray:
    """int64_U: for every expression j the sum over i < j of weight_i * lev(i, j), exact.

    Args:
      distinct: expressions, sorted by length, for which `fits` holds.
      weight_U: their multiplicities.
      progress: called with the share of pairs that is done.
      tile: pairs are compared in squares of this size.
    """
    U = len(distinct)
    length_U = np.array([len(e) for e in distinct], np.int32)
    bounds = [slice(i, min(i + tile, U)) for i in range(0, U, tile)]
    # One program per power of two of words: five at most, whatever the lengths are.
    words = [_power_of_two(int(length_U[b.stop - 1])) for b in bounds]
    symbol_UT = np.zeros((U, _WORD * words[-1]), np.uint8)
    symbol_UT[np.arange(_WORD * words[-1]) < length_U[:, None]] = np.frombuffer(b"".join(distinct), np.uint8)

    rows = [
        jax.device_put(_rows(symbol_UT[b], length_U[b], weight_U[b], w, tile))
        for b, w in zip(bounds, words, strict=True)
    ]
    sums_U = np.zeros(U, np.int64)
    for k, b in enumerate(bounds):
        columns = jax.device_put(_columns(symbol_UT[b], length_U[b], tile))
        parts = [_tile(r, columns, np.int32((k - i) * tile)) for i, r in enumerate(rows[: k + 1])]
        for part_C in parts:
            sums_U[b] += np.asarray(part_C)[: b.stop - b.start]
        if progress is not None:
            progress((b.stop / U) ** 2)
    return sums_U


def _power_of_two(length: int) -> int:
    """Words for patterns of up to that length."""
    return 1 << max(0, -(-length // _WORD) - 1).bit_length()


def _rows(symbol_RT: np.ndarray, length_R: np.ndarray, weight_R: np.ndarray, words: int, tile: int) -> _Rows:
    pad = tile - len(symbol_RT)
    symbol_RT = np.pad(symbol_RT[:, : _WORD * words], ((0, pad), (0, 0)))
    bits_PRT = symbol_RT >> np.arange(_PLANES, dtype=np.uint8)[:, None, None] & 1
    inside_RT = np.arange(_WORD * words) < np.pad(length_R, (0, pad))[:, None]
    return _Rows(np.moveaxis(_pack(bits_PRT), -1, 1), _pack(inside_RT).T, np.pad(weight_R, (0, pad)).astype(np.uint32))


def _pack(bits: np.ndarray) -> np.ndarray:
    """Turns the last axis of bits into one of words, the lowest bit first."""
    return np.packbits(bits, axis=-1, bitorder="little").view("<u4")


def _columns(symbol_CT: np.ndarray, length_C: np.ndarray, tile: int) -> _Columns:
    symbol_TC = np.zeros((MAX_LENGTH, tile), np.uint8)
    symbol_TC[: symbol_CT.shape[1], : len(symbol_CT)] = symbol_CT.T
    return _Columns(symbol_TC, np.pad(length_C, (0, tile - len(length_C))))


@jax.jit
def _tile(rows: _Rows, columns: _Columns, offset: jax.Array) -> jax.Array:
    """uint32_C: the sum of weight_R * lev over the rows before each column, which begin `offset` places earlier."""
    W, R = rows.mask_WR.shape
    C = len(columns.length_C)
    unroll = max(1, _UNROLL // W)

    def read(j: jax.Array, state: tuple[list[jax.Array], list[jax.Array]]) -> tuple[list[jax.Array], list[jax.Array]]:
        """Advances all pairs by the text's symbol j; those whose text has ended stay."""
        symbol_C = jax.lax.dynamic_index_in_dim(columns.symbol_TC, j, keepdims=False).astype(jnp.uint32)
        symbol_PC = [(jnp.uint32(0) - (symbol_C >> p & 1))[None, :] for p in range(_PLANES)]
        active_1C = (j < columns.length_C)[None, :]
        carry_plus, carry_minus = jnp.uint32(1), jnp.uint32(0)  # row 0 of the program grows by one a symbol
        plus, minus = [], []
        for w, (vp, vn) in enumerate(zip(*state, strict=True)):
            differ = functools.reduce(
                jnp.bitwise_or, [rows.planes_PWR[p, w][:, None] ^ symbol_PC[p] for p in range(_PLANES)]
            )
            x = ~differ | carry_minus
            diagonal = (((x & vp) + vp) ^ vp) | x | vn
            hp, hn = vn | ~(diagonal | vp), diagonal & vp
            hp_in, hn_in = hp << 1 | carry_plus, hn << 1 | carry_minus
            carry_plus, carry_minus = hp >> _WORD - 1, hn >> _WORD - 1
            plus.append(jnp.where(active_1C, hn_in | ~(diagonal | hp_in), vp))
            minus.append(jnp.where(active_1C, hp_in & diagonal, vn))
        return plus, minus

    def read_some(i: jax.Array, state: tuple[list[jax.Array], list[jax.Array]]) -> tuple:
        for k in range(unroll):
            state = read(i * unroll + k, state)
        return state

    start = [jnp.full((R, C), 0xFFFFFFFF, jnp.uint32)] * W, [jnp.zeros((R, C), jnp.uint32)] * W
    steps = (jnp.max(columns.length_C) + unroll - 1) // unroll
    plus, minus = jax.lax.fori_loop(0, steps, read_some, start)

    # The program's last cell: the text's length at the top, then the vertical differences down to the pattern's end.
    distance_RC = jnp.broadcast_to(columns.length_C.astype(jnp.uint32)[None, :], (R, C))
    for w in range(W):
        mask_R1 = rows.mask_WR[w][:, None]
        distance_RC += jax.lax.population_count(plus[w] & mask_R1) - jax.lax.population_count(minus[w] & mask_R1)
    before_RC = jnp.arange(R)[:, None] < jnp.arange(C)[None, :] + offset
    return jnp.sum(jnp.where(before_RC, rows.weight_R[:, None] * distance_RC, 0), axis=0, dtype=jnp.uint32)
