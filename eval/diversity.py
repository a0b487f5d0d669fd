"""Diversity of a set of samples: how far apart they are, and how many are distinct.

    python -m eval.diversity [FILE]

Prints one JSON object: `count`, and the measures of the lines that need no model. A line is one sample; a word
outside the vocabulary counts as one symbol. Every pair of distinct lines is compared, on all cores.

In Python, an expression is any hashable sequence of symbols: `bytes`, or `str` with one character a symbol.
"""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from absl import flags

from logic import command
from logic.symbols import UNKNOWN, encode

_BLOCK = 1_024  # rows of the distance matrix held at once


def levenshtein_diversity(counts: Counter, workers: int = -1, progress: Callable[[float], None] | None = None) -> float:
    """Mean over all unordered pairs of lev(a, b) / max(|a|, |b|), exact; 0 for fewer than two expressions.

    Args:
      counts: multiplicity of every distinct expression: those are compared once, and weighted.
      workers: threads; -1 takes all cores.
      progress: called with the share of pairs that is done.

    Two empty expressions are at distance 0.
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    n = counts.total()
    if n < 2:
        return 0.0
    distinct = sorted(counts, key=len)  # neighbours of equal length share vector registers in rapidfuzz
    weight_U = np.array([counts[e] for e in distinct], np.float64)
    length_U = np.array([len(e) for e in distinct], np.float64)
    longest = int(length_U[-1])
    dtype = np.uint8 if longest < 256 else np.uint16 if longest < 65_536 else np.uint32
    U, total = len(distinct), 0.0
    for row in range(0, U, _BLOCK):
        rows = slice(row, row + _BLOCK)
        # Column blocks bound the memory; only blocks on and above the diagonal are computed.
        for column in range(row, U, 64 * _BLOCK):
            columns = slice(column, column + 64 * _BLOCK)
            distance_RC = cdist(
                distinct[rows], distinct[columns], scorer=Levenshtein.distance, dtype=dtype, workers=workers
            )
            # Sorted by length, the longer one of a pair above the diagonal is the column's.
            scale_C = weight_U[columns] / np.maximum(length_U[columns], 1)
            index_R, index_C = np.arange(U)[rows], np.arange(U)[columns]
            above_RC = np.where(index_C[None, :] > index_R[:, None], distance_RC, 0)
            total += float(weight_U[rows] @ (above_RC @ scale_C))
        if progress is not None:
            left = max(U - row - _BLOCK, 0)
            progress(1 - (left / U) ** 2)
    return total / (n * (n - 1) / 2)


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
