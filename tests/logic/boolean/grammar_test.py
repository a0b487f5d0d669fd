"""The grammar against an independent enumeration of all that GenLogicExpr can write."""

import functools
import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import decode, encode
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import verify

SMALL = [(0, 0), (1, 1), (0, 1), (0, 2), (1, 2), (2, 2), (1, 3), (2, 3)]


class Written(NamedTuple):
    text: str
    probability: float
    value: bool
    height: int
    symbols: int


@functools.cache
def enumerate_all(min_depth: int, max_depth: int, depth: int = 0) -> tuple[Written, ...]:
    """Everything the generator can write from a node at `depth`, by the paper's description, word for word."""
    operators = 0 if depth == max_depth else 3
    constants = 0 if depth < min_depth else 2
    p = 1 / (operators + constants)
    out = [Written(str(v), p, v, 0, 1) for v in (True, False) if constants]
    if operators:
        below = enumerate_all(min_depth, max_depth, depth + 1)
        for a in below:
            out.append(Written(f"(not {a.text})", p * a.probability, not a.value, a.height + 1, a.symbols + 3))
            for b in below:
                q, h, n = p * a.probability * b.probability, max(a.height, b.height) + 1, a.symbols + b.symbols + 3
                out.append(Written(f"({a.text} and {b.text})", q, a.value and b.value, h, n))
                out.append(Written(f"({a.text} or {b.text})", q, a.value or b.value, h, n))
    return tuple(out)


def all_true(bounds: tuple[int, int]) -> list[Written]:
    return [w for w in enumerate_all(*bounds) if w.value]


def test_the_enumeration_is_the_one_we_know():
    assert len(all_true((1, 2))) == 150
    assert [w.text for w in all_true((0, 0))] == ["True"]


@pytest.mark.parametrize("bounds", SMALL)
def test_probabilities(bounds):
    grammar, written = Grammar(*bounds), all_true(bounds)
    p_true = math.fsum(w.probability for w in written)
    assert math.fsum(w.probability for w in enumerate_all(*bounds)) == pytest.approx(1, rel=1e-12)
    assert grammar.p_true == pytest.approx(p_true, rel=1e-12)

    log_p = grammar.log_probability(encode([w.text for w in written]))
    np.testing.assert_allclose(log_p, [math.log(w.probability / p_true) for w in written], rtol=0, atol=1e-11)
    assert math.fsum(np.exp(log_p)) == pytest.approx(1, rel=1e-10)
    assert grammar.entropy == pytest.approx(-math.fsum(np.exp(log_p) * log_p), abs=1e-10)


@pytest.mark.parametrize("bounds", SMALL)
def test_depth_and_length_distributions(bounds):
    grammar, written = Grammar(*bounds), all_true(bounds)
    p = np.array([w.probability for w in written]) / grammar.p_true
    depth = np.bincount([w.height for w in written], p, grammar.max_depth + 1)
    length = np.bincount([w.symbols for w in written], p, grammar.max_length + 1)
    np.testing.assert_allclose(grammar.depth_distribution(), depth, atol=1e-12)
    np.testing.assert_allclose(grammar.length_distribution(), length, atol=1e-12)
    assert grammar.min_length == min(w.symbols for w in enumerate_all(*bounds))
    assert grammar.max_length == max(w.symbols for w in enumerate_all(*bounds))


@pytest.mark.parametrize("bounds", [(1, 5), (0, 12), (1, 12), (7, 12), (12, 12)])
def test_distributions_sum_to_one_at_any_depth(bounds):
    grammar = Grammar(*bounds)
    depth, length = grammar.depth_distribution(), grammar.length_distribution()
    assert depth.sum() == pytest.approx(1, rel=1e-10) and depth.min() >= -1e-15
    assert length.sum() == pytest.approx(1, rel=1e-10) and length.min() >= 0
    assert len(depth) == grammar.max_depth + 1 and len(length) == grammar.max_length + 1
    assert not depth[: grammar.min_depth].any() and not length[: grammar.min_length].any()
    assert grammar.p_true == pytest.approx(0.5, rel=1e-12)
    assert np.isfinite(grammar.entropy)


@pytest.mark.parametrize("bounds", SMALL)
def test_in_support_is_exactly_what_can_be_written(bounds):
    """Every expression that some generator can write, judged by this one."""
    true = {w.text for w in all_true(bounds)}
    others = {w.text for b in [(0, 2), (1, 2), bounds] for w in enumerate_all(*b)}
    texts = sorted(others | {f"({t})" for t in sorted(true)[:200]} | {t[1:-1] for t in sorted(true)[:200]})
    grammar, expressions = Grammar(*bounds), encode(texts)
    in_support = verify(expressions, grammar).in_support
    assert {t for t, inside in zip(texts, in_support, strict=True) if inside} == true
    np.testing.assert_array_equal(np.isfinite(grammar.log_probability(expressions)), in_support)


@pytest.mark.parametrize("bounds", [(1, 2), (0, 2)])
def test_samples_follow_the_distribution(bounds):
    n = 100_000
    count = Counter(decode(Grammar(*bounds).sample(n, np.random.default_rng(1))))
    written = all_true(bounds)
    assert set(count) <= {w.text for w in written}
    p_true = sum(w.probability for w in written)
    expected = np.array([n * w.probability / p_true for w in written])
    assert expected.min() > 5
    assert stats.chisquare([count[w.text] for w in written], expected).pvalue > 1e-3


@pytest.mark.parametrize("bounds", [(1, 5), (3, 7)])
def test_deep_samples_follow_depth_length_and_entropy(bounds):
    grammar, n = Grammar(*bounds), 50_000
    expressions = grammar.sample(n, np.random.default_rng(2))
    assert verify(expressions, grammar).in_support.all()

    depth = np.bincount(evaluate(expressions).depth, minlength=grammar.max_depth + 1)
    assert pvalue(depth, n * grammar.depth_distribution()) > 1e-3
    length = np.bincount([len(e) for e in expressions], minlength=grammar.max_length + 1)
    assert pvalue(length, n * grammar.length_distribution()) > 1e-3

    log_p = grammar.log_probability(expressions)  # its mean is minus the entropy
    assert abs(log_p.mean() + grammar.entropy) < 4 * log_p.std() / math.sqrt(n)


def pvalue(observed: np.ndarray, expected: np.ndarray) -> float:
    """Chi-square, with all rare outcomes in one bin."""
    rare = expected < 10
    merged = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    keep = merged[1] > 0
    return stats.chisquare(merged[0][keep], merged[1][keep]).pvalue


def test_samples_depend_on_the_random_stream_only():
    grammar = Grammar()
    assert grammar.sample(100, np.random.default_rng(3)) == grammar.sample(100, np.random.default_rng(3))
    assert grammar.sample(100, np.random.default_rng(3)) != grammar.sample(100, np.random.default_rng(4))
    assert grammar.sample(0, np.random.default_rng(3)) == []


def test_outside_the_support_the_probability_is_zero():
    texts = ["", "False", "(False or False)", "True", "(True)", "not False", "((True or True))", ")(", "foo"]
    assert np.isneginf(Grammar().log_probability(encode(texts))).all()
    assert Grammar().log_probability([]).shape == (0,)


@pytest.mark.parametrize("bounds", [(-1, 3), (4, 3), (1, 13)])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match=rf"min_depth = {bounds[0]}.*max_depth = {bounds[1]}.*allowed"):
        Grammar(*bounds)
