"""Suite `diversity`: the mean edit distance over all pairs of samples, ours and what Python offers. Pairs per second.

Pairs are those of all samples, equal ones included: what the mean is over, however few of them have to be computed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from eval.measures.diversity import levenshtein_diversity
from launch.benchmarks.case import Contender, Row, compare, timed
from launch.benchmarks.gpt2 import require
from launch.benchmarks.sizes import Options, Size
from logic.boolean.language import Boolean

_LOOPED = 600  # samples whose pairs the Python loop takes: its cost per pair does not depend on their number


def samples(n: int, distinct: int, seed: int) -> list[bytes]:
    """n samples, `distinct` of them different, each about as often."""
    rng, grammar = np.random.default_rng(seed), Boolean(1, 5)
    found: dict[bytes, None] = {}
    while len(found) < distinct:
        found |= dict.fromkeys(grammar.sample(n, rng))
    kept = list(found)[:distinct]
    return [kept[i] for i in rng.permutation(np.arange(n) % distinct)]


def all_pairs(lines: Sequence[str], workers: int) -> float:
    """Our measure by rapidfuzz alone: the whole matrix of the samples as they come."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    # Given one list twice, rapidfuzz computes half of the matrix, one pair at a time; given two, all of it, many pairs
    # side by side in vector registers, in less than half the time.
    distance_NN = cdist(lines, list(lines), scorer=Levenshtein.distance, dtype=np.uint8, workers=workers)
    length_N = np.array([max(len(line), 1) for line in lines], np.float32)
    n, total = len(lines), 0.0
    for i in range(n):
        total += float((distance_NN[i] / np.maximum(length_N[i], length_N)).sum())
    return total / (n * (n - 1))


def python_loop(lines: Sequence[str]) -> float:
    """Our measure by two loops over python-Levenshtein."""
    import Levenshtein

    n, total = len(lines), 0.0
    for i, a in enumerate(lines):
        for b in lines[:i]:
            total += Levenshtein.distance(a, b) / max(len(a), len(b), 1)
    return total / (n * (n - 1) / 2)


def pairs(n: int) -> float:
    """Unordered pairs of n samples."""
    return n * (n - 1) / 2


def suite(size: Size, options: Options) -> Iterator[Row]:
    """All samples distinct, half, a quarter; then the Python loop. The size of the model does not matter.

    Every call gets new samples: the product remembers the diversity of those that it has seen.
    """
    n = options.num_expressions

    def case(name: str, distinct: int, peer_name: str, make: Callable[[list[str]], Contender]) -> Row:
        lines = [e.decode("latin-1") for e in samples(n, distinct, 0)]  # one character a symbol
        work = timed(
            lambda expressions: levenshtein_diversity(Counter(expressions), options.cores),
            options.min_seconds,
            lambda call: samples(n, distinct, call),
        )
        ours = Contender(work, pairs(n))
        row = compare(
            "diversity", name, size.name, "pairs/s", ours, peer_name, lambda: make(lines), options.repeats, samples=n
        )
        return {**row, "distinct": distinct, "seconds": pairs(n) / row["ours"]}

    def rapidfuzz(lines: list[str]) -> Contender:
        require("rapidfuzz")
        return Contender(timed(lambda _: all_pairs(lines, options.cores), options.min_seconds), pairs(n))

    def loop(lines: list[str]) -> Contender:
        require("Levenshtein")
        few = lines[:_LOOPED]
        return Contender(timed(lambda _: python_loop(few), options.min_seconds), pairs(len(few)))

    for distinct in (n, n // 2, n // 4):
        yield case(f"distinct_{distinct}", distinct, "rapidfuzz cdist on all pairs", rapidfuzz)
    yield case("python_loop", n, "loop over Levenshtein.distance", loop)
