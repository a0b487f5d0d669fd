"""Diversity of a set of samples: how far apart they are, and how many are distinct.

An expression is any hashable sequence of symbols: `bytes`, or `str` with one character a symbol.
"""

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np

from eval.measures.measure import WRITES, Measure
from logic.language import Language

_ROWS, _COLUMNS = 512, 8_192  # of the distance matrix held at once: it stays in the cache, and all cores have work
# Fewer distinct expressions are not worth an accelerator's transfers. A guess until it is measured on a GPU.
_ACCELERATOR_MIN_DISTINCT = 2_048

_known: dict[bytes, float] = {}  # diversities by the digest of the multiset
_KNOWN_MAX = 4_096


def levenshtein_diversity(
    counts: Counter,
    workers: int = -1,
    progress: Callable[[float], None] | None = None,
    accelerator: bool | None = None,
) -> float:
    """Mean over all unordered pairs of lev(a, b) / max(|a|, |b|), exact; 0 for fewer than two expressions.

    The value is a function of the multiset, to the last bit, wherever it is computed. The process remembers it: cells
    of equal seed share their first sets, and without fresh data a training set holds the samples of the one before.

    Args:
      counts: multiplicity of every distinct expression: those are compared once, and weighted.
      workers: threads; -1 takes all cores.
      progress: called with the share of pairs that is done.
      accelerator: whether JAX compares the pairs; None: if it runs on an accelerator in this process, and it pays.

    Two empty expressions are at distance 0.
    """
    if counts.total() < 2:
        return 0.0
    key = hashlib.blake2b(repr(sorted(counts.items())).encode()).digest()
    value = _known.get(key)
    if value is None:
        value = _mean_distance(counts, workers, progress, accelerator)
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        _known[key] = value
    return value


def _mean_distance(
    counts: Counter, workers: int, progress: Callable[[float], None] | None, accelerator: bool | None
) -> float:
    n, distinct = counts.total(), sorted(counts, key=len)
    weight_U = np.array([counts[e] for e in distinct], np.int64)
    length_U = np.array([len(e) for e in distinct], np.int64)
    if accelerator is None:
        accelerator = len(distinct) >= _ACCELERATOR_MIN_DISTINCT and _jax_has_accelerator()
    if accelerator:
        from eval.measures import edit_distance

        accelerator = edit_distance.fits(distinct, n)
    if accelerator:
        sums_U = edit_distance.sums_of_shorter(distinct, weight_U, progress)
    else:
        sums_U = _sums_of_shorter(distinct, weight_U, length_U, workers, progress)
    # Of two expressions the later one is the longer. Integers per length are exact: no order of summing matters.
    sums: Counter = Counter()
    for length, weight, value in zip(length_U.tolist(), weight_U.tolist(), sums_U.tolist(), strict=True):
        sums[length] += weight * value
    return math.fsum(value / max(length, 1) for length, value in sums.items()) / (n * (n - 1) / 2)


def _jax_has_accelerator() -> bool:
    """Whether this process already uses JAX, and on an accelerator; does not import it."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.default_backend() != "cpu"


def _sums_of_shorter(
    distinct: list,
    weight_U: np.ndarray,
    length_U: np.ndarray,
    workers: int,
    progress: Callable[[float], None] | None,
) -> np.ndarray:
    """int64_U: for every expression j, sorted by length, the sum over i < j of weight_i * lev(i, j)."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    U, longest = len(distinct), int(length_U[-1])
    dtype = np.uint8 if longest < 256 else np.uint16 if longest < 65_536 else np.uint32
    weight_U = weight_U.astype(np.uint32 if weight_U.sum() * longest < 2**32 else np.int64)
    sums_U = np.zeros(U, np.int64)
    for row in range(0, U, _ROWS):
        rows = slice(row, row + _ROWS)
        for column in range(row, U, _COLUMNS):
            columns = slice(column, column + _COLUMNS)
            # Rows are what rapidfuzz puts side by side in vector registers: the shorter ones, of similar length.
            distance_RC = cdist(
                distinct[rows], distinct[columns], scorer=Levenshtein.distance, dtype=dtype, workers=workers
            )
            if column == row:
                R = len(distance_RC)
                distance_RC[:, :R] = np.triu(distance_RC[:, :R], 1)
            sums_U[columns] += np.einsum("r,rc->c", weight_U[rows], distance_RC)  # converts in the cache
        if progress is not None:
            left = max(U - row - _ROWS, 0)
            progress(1 - (left / U) ** 2)
    return sums_U


def unique_fraction(counts: Counter) -> float:
    """Distinct expressions / all expressions."""
    return len(counts) / counts.total()


def unique_trees_fraction(counts: Counter, language: Language) -> float:
    """Distinct samples modulo the order of operands / all samples; `str` samples have one character a symbol, and have
    no normal form where one is outside the vocabulary."""
    forms = set()
    for e in counts:
        if isinstance(e, str) and ord(max(e, default="\0")) < len(language.vocabulary):
            e = e.encode("latin-1")
        forms.add(language.normal_form(e) if isinstance(e, bytes) else e)
    return len(forms) / counts.total()


def sample_entropy(counts: Counter) -> float:
    """Entropy of the empirical distribution in nats (the plug-in estimate: biased low for few samples)."""
    p = np.fromiter(counts.values(), np.float64) / counts.total()
    return float(max(0.0, -np.sum(p * np.log(p))))


def top1_share(counts: Counter) -> float:
    """Share of the most frequent expression."""
    return max(counts.values()) / counts.total()


LEVENSHTEIN = Measure(
    "levenshtein_diversity",
    lambda o: levenshtein_diversity(o.counts, progress=o.progress),
    "Levenshtein diversity",
    WRITES,
    "",
    "mean over all pairs of samples of edit distance / longer length, on symbols; exact",
    leads=True,
)
UNIQUE = Measure(
    "unique_fraction",
    lambda o: unique_fraction(o.counts),
    "unique fraction",
    WRITES,
    "",
    "distinct samples / samples",
)
UNIQUE_TREES = Measure(
    "unique_trees_fraction",
    lambda o: unique_trees_fraction(o.counts, o.language),
    "unique fraction, modulo commutativity",
    WRITES,
    "",
    "distinct samples modulo the order of operands / samples",
    needs=("samples", "normal_form"),
)
ENTROPY = Measure(
    "sample_entropy",
    lambda o: sample_entropy(o.counts),
    "entropy of the samples",
    WRITES,
    "nats",
    "entropy of the samples' empirical distribution",
)
TOP1 = Measure(
    "top1_share",
    lambda o: top1_share(o.counts),
    "share of the most frequent sample",
    WRITES,
    "",
    "share of the most frequent sample",
)
