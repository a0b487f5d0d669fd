"""The diversity that samples of a distribution are expected to have, exactly."""

from collections.abc import Callable, Sequence

import numpy as np

_ROWS, _COLUMNS = 512, 8_192  # of the distance matrix held at once


def expected_diversity(
    expressions: Sequence[bytes], p_UK: np.ndarray, progress: Callable[[float], None] | None = None
) -> np.ndarray:
    """E[lev(a, b) / max(|a|, |b|)] of two independent draws, for each of K distributions, float64_K.

    That is the expectation of `levenshtein_diversity` over any number of independent samples, whose pairs of equal
    samples count as well. Every pair of expressions is compared once, for all distributions together.

    Args:
      expressions: U distinct ones.
      p_UK: their probabilities in each distribution.
      progress: called with the share of pairs that is done.
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    order = sorted(range(len(expressions)), key=lambda i: len(expressions[i]))
    ordered, p_UK = [expressions[i] for i in order], np.asarray(p_UK, np.float64)[order]
    length_U = np.array([len(e) for e in ordered])
    per_length_UK = p_UK / np.maximum(length_U, 1)[:, None]  # of a pair, the later one is the longer
    dtype = np.uint8 if length_U[-1] < 256 else np.uint16 if length_U[-1] < 65_536 else np.uint32
    U, total_K = len(ordered), np.zeros(p_UK.shape[1])
    for row in range(0, U, _ROWS):
        rows = slice(row, row + _ROWS)
        for column in range(row, U, _COLUMNS):
            columns = slice(column, column + _COLUMNS)
            distance_RC = cdist(
                ordered[rows], ordered[columns], scorer=Levenshtein.distance, dtype=dtype, workers=-1
            ).astype(np.float64)
            if column == row:
                R = len(distance_RC)
                distance_RC[:, :R] = np.triu(distance_RC[:, :R], 1)
            total_K += np.einsum("ck,ck->k", per_length_UK[columns], distance_RC.T @ p_UK[rows])
        if progress is not None:
            progress(1 - (max(U - row - _ROWS, 0) / U) ** 2)
    return 2 * total_K
