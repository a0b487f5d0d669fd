"""Diversity of a set of samples: how far apart they are, and how many are distinct.

    python -m eval.diversity [FILE]

Prints one JSON object: `count`, and the measures of the lines that need no model. A line is one sample; a word
outside the vocabulary counts as one symbol. Every pair of distinct lines is compared, on all cores.

In Python, an expression is any hashable sequence of symbols: `bytes`, or `str` with one character a symbol.
"""

import hashlib
import json
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from absl import flags

from logic import command
from logic.symbols import UNKNOWN, encode

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
        from eval import edit_distance

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


def sample_entropy(counts: Counter) -> float:
    """Entropy of the empirical distribution in nats (the plug-in estimate: biased low for few samples)."""
    p = np.fromiter(counts.values(), np.float64) / counts.total()
    return float(max(0.0, -np.sum(p * np.log(p))))


def top1_share(counts: Counter) -> float:
    """Share of the most frequent expression."""
    return max(counts.values()) / counts.total()


def spell(line: str, expression: bytes, words: dict[str, str]) -> str:
    """The line with one character a symbol; `words` collects the characters of words outside the vocabulary."""
    if UNKNOWN not in expression:
        return expression.decode("latin-1")
    found = iter(re.findall(r"[()]|[^\s()]+", line))
    return "".join(
        chr(symbol) if symbol != UNKNOWN else words.setdefault(word, _character(len(words)))
        for symbol, word in zip(expression, found, strict=True)
    )


def _character(i: int) -> str:
    code = UNKNOWN + i
    return chr(code if code < 0xD800 else code + 0x800)  # surrogates are no characters


class _Progress:
    """Says on standard error how far a long comparison is, every few seconds."""

    def __init__(self) -> None:
        self.start = self.said = time.monotonic()

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if now - self.said > 5 and done > 0:
            self.said = now
            left = (now - self.start) * (1 / done - 1)
            print(f"comparing pairs: {done:.0%} done, {left:.0f} s left", file=sys.stderr)


def main(argv: list[str]) -> None:
    """Reads lines, measures them, prints JSON."""
    from eval.measures import measure_samples
    from logic.grammar import Grammar
    from logic.verifier import verify

    if len(argv) > 2:
        raise command.UsageError(f"{argv[2]!r}: one file is allowed, {argv[1]!r} is given already")
    with command.usage_errors():
        grammar = Grammar(flags.FLAGS.min_depth, flags.FLAGS.max_depth)
    samples: list[bytes] = []
    counts: Counter = Counter()
    words: dict[str, str] = {}
    for lines in command.read_lines(argv[1] if len(argv) > 1 else None):
        chunk = encode(lines)
        samples += chunk
        counts.update(spell(line, e, words) for line, e in zip(lines, chunk, strict=True))
    if not samples:
        raise command.UsageError("no lines to measure: at least one is needed")
    measures = measure_samples(samples, verify(samples, grammar), grammar, counts, _Progress())
    print(json.dumps({"count": len(samples), **measures}))


if __name__ == "__main__":
    flags.DEFINE_integer("min_depth", 1, "Support: every constant lies at least this deep.")
    flags.DEFINE_integer("max_depth", 5, "Support: and at most this deep, min_depth to 12.")
    command.run(main)
