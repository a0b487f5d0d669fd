"""Sequences of symbol ids, of any language: a sample is a `bytes` object, and a batch of them a list."""

from collections.abc import Sequence

import numpy as np

from logic.language import EOS


def pad(expressions: Sequence[bytes], length: int | None = None) -> np.ndarray:
    """Stacks expressions as uint8 ids_NL, filled up with `<eos>` to `length` (default: the longest)."""
    length = max(map(len, expressions), default=0) if length is None else length
    ids_NL = np.zeros((len(expressions), length), np.uint8)
    length_N = lengths(expressions)
    ids_NL[np.arange(length) < length_N[:, None]] = np.frombuffer(b"".join(expressions), np.uint8)
    return ids_NL


def unpad(ids_NL: np.ndarray) -> list[bytes]:
    """Cuts every row before its first `<eos>`; a row without one is taken whole."""
    N, L = ids_NL.shape
    ended_NL = ids_NL == EOS
    length_N = np.where(ended_NL.any(axis=1), ended_NL.argmax(axis=1), L) if L else np.zeros(N, int)
    flat = np.ascontiguousarray(ids_NL, np.uint8).tobytes()
    return [flat[i * L : i * L + n] for i, n in enumerate(length_N.tolist())]


def lengths(expressions: Sequence[bytes]) -> np.ndarray:
    """Number of symbols of each expression, int64_N."""
    return np.fromiter(map(len, expressions), np.int64, len(expressions))
