import functools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from eval.measures import edit_distance
from eval.measures.diversity import levenshtein_diversity
from eval.measures.edit_distance import MAX_LENGTH, fits, sums_of_shorter
from logic.boolean.grammar import Grammar

SYMBOLS = st.integers(1, 8)  # the vocabulary without <eos>, and UNKNOWN
SHORT = st.lists(SYMBOLS, max_size=20).map(bytes)
LONG = st.builds(
    lambda part, n: (part * n)[:300], st.lists(SYMBOLS, min_size=1, max_size=70).map(bytes), st.integers(1, 300)
)


def oracle(distinct, weights):
    """The sums by rapidfuzz, a pair at a time."""
    return [
        sum(int(w) * Levenshtein.distance(a, b) for a, w in zip(distinct[:j], weights, strict=False))
        for j, b in enumerate(distinct)
    ]


def sums(distinct, weights, tile):
    return sums_of_shorter(distinct, np.array(weights, np.int64), tile=tile).tolist()


@pytest.mark.slow
@settings(max_examples=80)
@given(st.sets(SHORT, min_size=1, max_size=25), st.data())
def test_sums_equal_rapidfuzz_on_short_strings(strings, data):
    distinct = sorted(strings, key=len)
    weights = data.draw(st.lists(st.integers(1, 1000), min_size=len(distinct), max_size=len(distinct)))
    assert sums(distinct, weights, 8) == oracle(distinct, weights)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.sets(SHORT | LONG, min_size=2, max_size=20))
def test_sums_equal_rapidfuzz_on_strings_of_several_words(strings):
    distinct = sorted(strings, key=len)
    weights = range(1, len(distinct) + 1)
    assert sums(distinct, weights, 8) == oracle(distinct, weights)


@pytest.mark.slow
def test_lengths_around_the_words():
    rng = np.random.default_rng(0)
    lengths = [0, 1, 2, 30, 31, 32, 33, 34, 63, 64, 65, 95, 96, 97, 127, 128, 129, 255, 256, 257, 300, 511, 512]
    distinct = [rng.integers(1, 4, n, np.uint8).tobytes() for n in lengths]  # few symbols: carries cross the words
    weights = rng.integers(1, 9, len(distinct))
    for tile in (8, 32):
        assert sums(distinct, weights, tile) == oracle(distinct, weights)


def test_equal_strings_and_one_change_are_counted_exactly():
    a = bytes([1, 2] * 100)
    edits = [a[:50] + a[51:], a[:100] + b"\x03" + a[101:], a, a[:64] + b"\x03" + a[64:]]
    distinct = sorted([*edits, a], key=len)
    assert sums(distinct, [1] * 5, 8)[-1] == sum(Levenshtein.distance(x, distinct[-1]) for x in distinct[:-1])
    assert sums([a, a], [7, 1], 8) == [0, 0]


def test_bounds_of_the_kernel():
    assert fits([b"", bytes([1]) * MAX_LENGTH], 2)
    assert not fits([bytes([1]) * (MAX_LENGTH + 1)], 1)
    assert fits([bytes([15])], 2) and not fits([bytes([16])], 2) and not fits(["text"], 2)
    assert fits([bytes(8)], 2**29 - 1) and not fits([bytes(8)], 2**29)


def test_largest_sum_that_fits():
    distinct, weight = [bytes([1]), bytes([2]) * 8], 2**29 - 2
    assert fits(distinct, weight + 1)
    assert sums(distinct, [weight, 1], 8) == [0, weight * 8]


def test_progress_reaches_the_end():
    done: list[float] = []
    sums_of_shorter([bytes([i]) for i in range(1, 16)], np.ones(15, np.int64), done.append, tile=4)
    assert done == sorted(done) and done[-1] == 1


def test_few_programs_whatever_the_lengths():
    tile: Any = edit_distance._tile
    tile.clear_cache()
    for seed in range(4):
        distinct = sorted(set(Grammar(1, 4).sample(40, np.random.default_rng(seed))), key=len)
        assert len({len(e) for e in distinct}) > 8
        sums(distinct, [1] * len(distinct), 16)
    assert tile._cache_size() <= 2  # patterns of one word and of two


@pytest.mark.parametrize("max_depth", [3, 5])
def test_diversity_is_the_same_number_on_both_paths(max_depth, monkeypatch):
    monkeypatch.setattr("eval.measures.edit_distance.sums_of_shorter", functools.partial(sums_of_shorter, tile=128))
    samples = [*Grammar(1, max_depth).sample(300, np.random.default_rng(1)), b"", b"\x06"]
    counts = Counter(samples)
    values = []
    for accelerator in (False, True):
        monkeypatch.setattr("eval.measures.diversity._known", {})
        values.append(levenshtein_diversity(counts, accelerator=accelerator))
    assert values[0] == values[1] > 0
