import json
import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.diversity import spell
from eval.measures.diversity import levenshtein_diversity, sample_entropy, top1_share, unique_fraction
from logic.boolean.grammar import Grammar
from logic.boolean.language import Boolean
from logic.boolean.symbols import decode, encode
from tests import commands


def distance(a, b):
    """Levenshtein's distance by its recursion."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


def naive_diversity(samples):
    n = len(samples)
    pairs = [(a, b) for i, a in enumerate(samples) for b in samples[i + 1 :]]
    return sum(distance(a, b) / max(len(a), len(b), 1) for a, b in pairs) / (n * (n - 1) / 2)


SYMBOLS = st.binary(max_size=12).map(lambda b: bytes(x % 8 for x in b))


@settings(max_examples=60)
@given(st.lists(SYMBOLS, min_size=2, max_size=15), st.integers(0, 3))
def test_diversity_equals_the_definition(samples, repeats):
    samples = samples + samples[:1] * repeats
    assert levenshtein_diversity(Counter(samples)) == pytest.approx(naive_diversity(samples), abs=1e-12)


def test_diversity_over_many_blocks_and_long_expressions(monkeypatch):
    samples = [*Grammar(1, 4).sample(60, np.random.default_rng(0)), bytes([1]) * 700, b"", b""]
    monkeypatch.setattr("eval.measures.diversity._ROWS", 7)
    monkeypatch.setattr("eval.measures.diversity._COLUMNS", 19)
    assert levenshtein_diversity(Counter(samples)) == pytest.approx(naive_diversity(samples), abs=1e-12)


def test_degenerate_sets():
    assert levenshtein_diversity(Counter([b"\x06"])) == 0
    assert levenshtein_diversity(Counter([b"\x06"] * 9)) == 0
    assert levenshtein_diversity(Counter([b"", b""])) == 0
    assert levenshtein_diversity(Counter([b"", b"\x06"])) == 1


def test_value_is_a_function_of_the_multiset_to_the_last_bit(monkeypatch):
    samples = Grammar(1, 4).sample(300, np.random.default_rng(0))
    values = set()
    for seed, rows, columns in ((0, 512, 8192), (1, 7, 19), (2, 64, 64)):
        monkeypatch.setattr("eval.measures.diversity._ROWS", rows)
        monkeypatch.setattr("eval.measures.diversity._COLUMNS", columns)
        monkeypatch.setattr("eval.measures.diversity._known", {})
        shuffled = np.random.default_rng(seed).permutation(np.array(samples, object)).tolist()
        values.add(levenshtein_diversity(Counter(shuffled)))
    assert len(values) == 1


def test_equal_multisets_are_compared_once(monkeypatch):
    calls = []
    monkeypatch.setattr("eval.measures.diversity._known", {})

    def compare(counts: Counter, *_: object) -> int:
        calls.append(counts)
        return len(calls)

    monkeypatch.setattr("eval.measures.diversity._mean_distance", compare)
    sets = [Counter(a=2, b=1), Counter(b=1, a=2), Counter(a=1, b=2), Counter(a=2, c=1), Counter(a=2, b=1)]
    assert [levenshtein_diversity(counts) for counts in sets] == [1, 1, 2, 3, 1]


def test_memory_of_diversities_is_bounded(monkeypatch):
    known: dict = {}
    monkeypatch.setattr("eval.measures.diversity._known", known)
    monkeypatch.setattr("eval.measures.diversity._KNOWN_MAX", 3)
    for n in range(1, 10):
        assert levenshtein_diversity(Counter(a=n, b=1)) == pytest.approx(2 / (n + 1))
        assert len(known) <= 3


def test_large_weights_are_counted_exactly():
    n = 2**40  # the sum is beyond 64 bits
    assert levenshtein_diversity(Counter({b"\1": n, b"\2\3": n})) == pytest.approx(n / (2 * n - 1), rel=1e-15)


def test_shares_and_entropy():
    counts = Counter([b"\x06"] * 6 + [b"\x07"] * 2)
    assert (unique_fraction(counts), top1_share(counts)) == (0.25, 0.75)
    assert sample_entropy(counts) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert sample_entropy(Counter({b"": 5})) == 0


def run(text, *flags):
    return commands.run("eval.diversity", *flags, stdin=text)


@pytest.mark.slow
def test_command_equals_the_definition_on_repeats_empty_and_malformed_lines():
    lines = [
        "(not False)",
        "(not False)",
        "  ( not\tFalse )",
        "",
        "(True and foo)",
        "(True and bar)",
        "(True and bar)",
        "True",
        "and and",
        "ünï (",
        "(True or (not True))",
    ]
    words = [line.replace("(", " ( ").replace(")", " ) ").split() for line in lines]
    result = run("\n".join(lines) + "\n")
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["count"] == 11
    assert measured["levenshtein_diversity"] == pytest.approx(naive_diversity(words), abs=1e-12)
    assert measured["unique_fraction"] == pytest.approx(len({tuple(w) for w in words}) / 11)
    assert measured["unique_trees_fraction"] == measured["unique_fraction"]
    assert measured["length_mean"] == pytest.approx(np.mean([len(w) for w in words]))
    assert measured["depth_mean"] == pytest.approx((1 + 1 + 1 + 0 + 1 + 1 + 1 + 0 + 0 + 1 + 2) / 11)
    assert measured["top1_share"] == pytest.approx(3 / 11)
    assert measured["syntactic_correctness"] == pytest.approx(5 / 11)
    assert measured["in_support"] == pytest.approx(4 / 11)
    p_false, p_or = 1 / 3 * 1 / 5, 1 / 3 * 1 / 5 * 1 / 5 * 1 / 5
    assert measured["support_coverage"] == pytest.approx(2 * (p_false + p_or))


def test_command_does_not_import_jax():
    code = "import sys, eval.diversity, eval.measures.registry, rapidfuzz.process; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_command_knows_equal_trees():
    measured = json.loads(run("(True and False)\n(False and True)\n(True and foo)\n(foo and True)\n").stdout)
    assert (measured["unique_fraction"], measured["unique_trees_fraction"]) == (1.0, 0.75)


@pytest.mark.slow
def test_command_depth_flags_and_errors(tmp_path):
    shallow = json.loads(run("True\nTrue\n", "--min_depth=0", "--max_depth=0").stdout)
    assert (shallow["in_support"], shallow["support_coverage"]) == (1.0, 1.0)
    for bad in (["--min_depth=3", "--max_depth=2"], [str(tmp_path / "none")], ["--depth=2"]):
        result = run("True\n", *bad)
        assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert run("").returncode == 2


def test_more_unknown_words_than_bytes_stay_apart():
    lines = [f"word{i}" for i in range(60_000)]
    words: dict[str, str] = {}
    spelled = [spell(line, e, words, Boolean()) for line, e in zip(lines, encode(lines), strict=True)]
    assert len(set(spelled)) == 60_000
    assert {len(s) for s in spelled} == {1}
    "".join(spelled).encode("utf-8")  # no surrogates


@given(SYMBOLS.filter(lambda e: 0 not in e))
def test_known_symbols_are_spelt_alike_in_bytes_and_text(e):
    assert spell(decode([e])[0], e, {}, Boolean()) == e.decode("latin-1")
