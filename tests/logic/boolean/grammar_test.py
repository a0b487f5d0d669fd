"""The grammar against an independent enumeration of all that GenLogicExpr can write."""

import functools
import hashlib
import math
import random
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import decode, encode
from logic.boolean.trees import root_operator, subtree_counts
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import verify

CONSTANT = [(0, 0), (1, 1), (0, 1), (0, 2), (1, 2), (2, 2), (1, 3), (2, 3)]
# min_depth, max_depth, number of variables, constants
VARIABLE = [
    *[(0, 0, 1, True), (0, 2, 1, True), (1, 2, 1, True), (2, 2, 1, True), (0, 2, 1, False), (2, 2, 1, False)],
    *[(0, 1, 2, True), (0, 2, 2, True), (1, 2, 2, True), (1, 2, 2, False), (2, 2, 2, False)],
    *[(1, 2, 3, True), (0, 2, 3, False), (1, 2, 4, True)],
]
SMALL = [*CONSTANT[:-2], *VARIABLE, *(pytest.param(bounds, marks=pytest.mark.slow) for bounds in CONSTANT[-2:])]


class Written(NamedTuple):
    text: str
    probability: float
    value: tuple[bool, ...]  # in every row of the truth table; variable j is bit j of the row's number
    height: int
    symbols: int
    operands: tuple["Written", ...] = ()


@functools.cache
def enumerate_all(
    min_depth: int, max_depth: int, variables: int = 0, constants: bool = True, depth: int = 0
) -> tuple[Written, ...]:
    """Everything the generator can write from a node at `depth`, by the paper's description, word for word."""
    rows = range(1 << variables)
    leaves = [(str(v), tuple(v for _ in rows)) for v in (True, False) if constants]
    leaves += [("pqrs"[i], tuple(bool(row >> i & 1) for row in rows)) for i in range(variables)]
    p_leaf = 1 if depth == max_depth else 0 if depth < min_depth else 2 / 5
    p = (1 - p_leaf) / 3
    out = [Written(text, p_leaf / len(leaves), value, 0, 1) for text, value in leaves if p_leaf]
    if depth < max_depth:
        below = enumerate_all(min_depth, max_depth, variables, constants, depth + 1)
        for a in below:
            value = tuple(not x for x in a.value)
            out.append(Written(f"(not {a.text})", p * a.probability, value, a.height + 1, a.symbols + 3, (a,)))
            for b in below:
                q, h, n = p * a.probability * b.probability, max(a.height, b.height) + 1, a.symbols + b.symbols + 3
                both = tuple(x and y for x, y in zip(a.value, b.value, strict=True))
                some = tuple(x or y for x, y in zip(a.value, b.value, strict=True))
                out.append(Written(f"({a.text} and {b.text})", q, both, h, n, (a, b)))
                out.append(Written(f"({a.text} or {b.text})", q, some, h, n, (a, b)))
    return tuple(out)


def all_true(bounds: tuple) -> list[Written]:
    return [w for w in enumerate_all(*bounds) if all(w.value)]


def tables(w: Written) -> list[int]:
    """The truth tables of all subtrees, row i in bit i."""
    return [sum(x << i for i, x in enumerate(w.value)), *(t for operand in w.operands for t in tables(operand))]


def test_the_enumeration_is_the_one_we_know():
    assert len(all_true((1, 2))) == 150
    assert [w.text for w in all_true((0, 0))] == ["True"]


@pytest.mark.parametrize("bounds", SMALL)
def test_probabilities(bounds):
    grammar, written = Grammar(*bounds), all_true(bounds)
    p_true = math.fsum(w.probability for w in written)
    assert math.fsum(w.probability for w in enumerate_all(*bounds)) == pytest.approx(1, rel=1e-12)
    assert grammar.p_true == pytest.approx(p_true, rel=1e-12)

    log_p = grammar.log_probability(encode([w.text for w in written], grammar.num_variables))
    np.testing.assert_allclose(log_p, [math.log(w.probability / p_true) for w in written], rtol=0, atol=1e-11)
    assert math.fsum(np.exp(log_p)) == pytest.approx(1, rel=1e-10)
    assert grammar.entropy == pytest.approx(-math.fsum(np.exp(log_p) * log_p), abs=1e-10)


@pytest.mark.parametrize("bounds", SMALL)
def test_distributions(bounds):
    grammar, written = Grammar(*bounds), all_true(bounds)
    p = np.array([w.probability for w in written]) / grammar.p_true
    root = np.bincount(root_operator(encode([w.text for w in written], grammar.num_variables)), p, 8)
    np.testing.assert_allclose(grammar.root_distribution(), root, atol=1e-12)
    depth = np.bincount([w.height for w in written], p, grammar.max_depth + 1)
    length = np.bincount([w.symbols for w in written], p, grammar.max_length + 1)
    np.testing.assert_allclose(grammar.depth_distribution(), depth, atol=1e-12)
    np.testing.assert_allclose(grammar.length_distribution(), length, atol=1e-12)
    assert grammar.min_length == min(w.symbols for w in enumerate_all(*bounds))
    assert grammar.max_length == max(w.symbols for w in enumerate_all(*bounds))
    assert (grammar.length_distribution()[[w.symbols for w in written]] > 0).all()


@pytest.mark.parametrize("bounds", SMALL)
def test_expected_subtrees(bounds):
    grammar = Grammar(*bounds)
    expected = np.zeros(2**2**grammar.num_variables)
    for w in all_true(bounds):
        np.add.at(expected, tables(w), w.probability / grammar.p_true)
    np.testing.assert_allclose(grammar.subtree_counts(), expected, atol=1e-11)


DEEP = [
    (1, 5),
    (0, 12),
    (1, 12),
    (7, 12),
    (12, 12),
    (1, 12, 1),
    (0, 12, 2, False),
    (2, 7, 3),
    (1, 4, 4),
    (1, 4, 4, False),
]


@pytest.mark.parametrize("bounds", DEEP)
def test_distributions_sum_to_one_at_any_depth(bounds):
    grammar = Grammar(*bounds)
    depth, length = grammar.depth_distribution(), grammar.length_distribution()
    assert depth.sum() == pytest.approx(1, rel=1e-10) and depth.min() >= -1e-15
    assert length.sum() == pytest.approx(1, rel=1e-10) and length.min() >= 0
    assert len(depth) == grammar.max_depth + 1 and len(length) == grammar.max_length + 1
    assert not depth[: grammar.min_depth].any() and not length[: grammar.min_length].any()
    assert grammar.root_distribution().sum() == pytest.approx(1, rel=1e-10)
    assert np.isfinite(grammar.entropy)


@pytest.mark.parametrize("bounds", SMALL)
def test_in_support_is_exactly_what_can_be_written(bounds):
    """Every expression that some generator can write, judged by this one."""
    true = {w.text for w in all_true(bounds)}
    others = {w.text for b in [(0, 2), (1, 2), (0, 2, 1), (0, 1, 4), bounds] for w in enumerate_all(*b)}
    texts = sorted(others | {f"({t})" for t in sorted(true)[:200]} | {t[1:-1] for t in sorted(true)[:200]})
    grammar = Grammar(*bounds)
    expressions = encode(texts, grammar.num_variables)
    in_support = verify(expressions, grammar).in_support
    assert {t for t, inside in zip(texts, in_support, strict=True) if inside} == true
    np.testing.assert_array_equal(np.isfinite(grammar.log_probability(expressions)), in_support)


@pytest.mark.parametrize(
    "bounds", [(1, 2), (0, 2), (1, 2, 1), (2, 2, 1, False), (1, 2, 2, False), (0, 2, 2), (1, 2, 3)]
)
def test_samples_follow_the_distribution(bounds):
    n = 100_000
    count = Counter(decode(Grammar(*bounds).sample(n, np.random.default_rng(1))))
    written = all_true(bounds)
    assert set(count) <= {w.text for w in written}
    p_true = sum(w.probability for w in written)
    expected = np.array([n * w.probability / p_true for w in written])
    assert (expected > 10).sum() > 3
    assert pvalue(np.array([count[w.text] for w in written]), expected) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [(1, 5), (3, 7), (1, 5, 2), (1, 5, 3), (0, 6, 3, False), (1, 4, 4)])
def test_deep_samples_follow_depth_length_root_and_entropy(bounds):
    grammar, n = Grammar(*bounds), 50_000
    expressions = grammar.sample(n, np.random.default_rng(2))
    assert verify(expressions, grammar).in_support.all()

    depth = np.bincount(evaluate(expressions).depth, minlength=grammar.max_depth + 1)
    assert pvalue(depth, n * grammar.depth_distribution()) > 1e-3
    length = np.bincount([len(e) for e in expressions], minlength=grammar.max_length + 1)
    assert pvalue(length, n * grammar.length_distribution()) > 1e-3
    root = np.bincount(root_operator(expressions), minlength=8)
    assert pvalue(root, n * grammar.root_distribution()) > 1e-3

    log_p = grammar.log_probability(expressions)  # its mean is minus the entropy
    assert abs(log_p.mean() + grammar.entropy) < 4 * log_p.std() / math.sqrt(n)
    groups = [expressions[i::50] for i in range(50)]
    counts = np.array([subtree_counts(e, grammar.num_variables) / len(e) for e in groups])
    common = grammar.subtree_counts() > 0.01  # in a group of 1,000 expressions the mean is nearly normal
    z = (counts.mean(axis=0) - grammar.subtree_counts())[common] / (counts.std(axis=0, ddof=1)[common] / 50**0.5)
    assert abs(z).max() < 5 and common.sum() >= 2


def written_at_random(rng: random.Random, grammar: Grammar, row: range, depth: int = 0) -> tuple[list[bool], list, int]:
    """A draw of the generator, not conditioned on anything: the values in all rows, the tables of all subtrees,
    and the number of symbols."""
    at_leaf = depth == grammar.max_depth or (depth >= grammar.min_depth and rng.random() < 0.4)
    if at_leaf:
        leaf = rng.randrange(grammar.num_variables + 2)  # a variable, or one of the constants
        value = [bool(i >> leaf & 1) if leaf < grammar.num_variables else leaf % 2 == 0 for i in row]
        return value, [value], 1
    operator = rng.choice(["not", "and", "or"])
    a, parts, length = written_at_random(rng, grammar, row, depth + 1)
    if operator == "not":
        value = [not x for x in a]
        return value, [value, *parts], length + 3
    b, more, other = written_at_random(rng, grammar, row, depth + 1)
    value = [(x and y) if operator == "and" else (x or y) for x, y in zip(a, b, strict=True)]
    return value, [value, *parts, *more], length + other + 3


def test_monte_carlo_of_the_generator():
    """Three variables, depth 5: draws of the generator, those thrown away that are not true in every row."""
    rng, grammar, n = random.Random(4), Grammar(1, 5, 3), 12_000
    true = [w for w in (written_at_random(rng, grammar, range(8)) for _ in range(n)) if all(w[0])]
    p = grammar.p_true
    assert abs(len(true) / n - p) < 4 * math.sqrt(p * (1 - p) / n)
    length = np.bincount([w[2] for w in true], minlength=grammar.max_length + 1)
    assert pvalue(length, len(true) * grammar.length_distribution()) > 1e-3
    count = np.zeros((len(true), 256))
    for i, (_, parts, _) in enumerate(true):
        np.add.at(count[i], [sum(x << j for j, x in enumerate(part)) for part in parts], 1)
    error = count.std(axis=0) / math.sqrt(len(true))
    common = count.sum(axis=0) > 50
    z = (count.mean(axis=0) - grammar.subtree_counts())[common] / error[common]
    assert common.sum() > 10 and abs(z).max() < 5


def pvalue(observed: np.ndarray, expected: np.ndarray) -> float:
    """Chi-square, with all rare outcomes in one bin."""
    rare = expected < 10
    merged = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    keep = merged[1] > 1e-9
    assert not merged[0][~keep].any()
    if keep.sum() == 1:
        return 1.0
    return stats.chisquare(merged[0][keep], merged[1][keep]).pvalue


def test_samples_depend_on_the_random_stream_only():
    grammar = Grammar()
    assert grammar.sample(100, np.random.default_rng(3)) == grammar.sample(100, np.random.default_rng(3))
    assert grammar.sample(100, np.random.default_rng(3)) != grammar.sample(100, np.random.default_rng(4))
    assert grammar.sample(0, np.random.default_rng(3)) == []


# Samples of seed 3, as they were before there were variables: data sets are drawn anew from their seeds.
WITHOUT_VARIABLES = {
    (1, 5): "9834688024aa5ab62c92ed27f7877d9ac93b8e2ccd5dc3cbb60ec81ce9e7a1f1",
    (0, 3): "182028a9cc33167a73e651a4a419e13c2690f9079891cf7c510f89e02f380183",
    (2, 7): "256c6c4a29e25affd2d547fe5965c9ccc4f1e0409904e7054440a3675e0bcc71",
}


@pytest.mark.parametrize("bounds", WITHOUT_VARIABLES)
def test_samples_without_variables_are_what_they_have_always_been(bounds):
    samples = Grammar(*bounds).sample(2000, np.random.default_rng(3))
    assert hashlib.sha256(b"\0".join(samples)).hexdigest() == WITHOUT_VARIABLES[bounds]


@pytest.mark.parametrize(("variables", "p_true"), enumerate([0.5000, 0.3580, 0.2791, 0.2288, 0.1939]))
def test_share_of_tautologies(variables, p_true):
    """An independent computation's figures."""
    assert Grammar(1, 5, variables).p_true == pytest.approx(p_true, abs=5e-5)


@pytest.mark.parametrize("variables", [1, 4])
def test_samples_with_variables_depend_on_the_random_stream_only(variables):
    grammar = Grammar(1, 4, variables)
    assert grammar.sample(100, np.random.default_rng(3)) == grammar.sample(100, np.random.default_rng(3))
    assert grammar.sample(100, np.random.default_rng(3)) != grammar.sample(100, np.random.default_rng(4))
    assert grammar.sample(0, np.random.default_rng(3)) == []


def test_ids_are_the_same_in_every_language():
    assert Grammar().vocabulary == ("<eos>", "(", ")", "and", "or", "not", "True", "False")
    assert Grammar(1, 3, 4).vocabulary == (*Grammar().vocabulary, "p", "q", "r", "s")
    assert Grammar(1, 3, 2, constants=False).vocabulary == Grammar(1, 3, 2).vocabulary
    symbols = {s for e in Grammar(1, 3, 2, constants=False).sample(500, np.random.default_rng(0)) for s in e}
    assert symbols == {1, 2, 3, 4, 5, 8, 9}


def test_constants_that_are_no_leaves_are_outside_the_support():
    texts = ["(p or (not p))", "(True or p)", "(not False)"]
    for constants, expected in ((True, [True, True, True]), (False, [True, False, False])):
        grammar = Grammar(1, 2, 1, constants)
        verdicts = verify(encode(texts, 1), grammar)
        assert verdicts.semantic.all() and verdicts.in_support.tolist() == expected
        assert np.isfinite(grammar.log_probability(encode(texts, 1))).tolist() == expected


def test_outside_the_support_the_probability_is_zero():
    texts = ["", "False", "(False or False)", "True", "(True)", "not False", "((True or True))", ")(", "foo"]
    assert np.isneginf(Grammar().log_probability(encode(texts))).all()
    assert Grammar().log_probability([]).shape == (0,)


@pytest.mark.parametrize("bounds", [(-1, 3), (4, 3), (1, 13)])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match=rf"min_depth = {bounds[0]}.*max_depth = {bounds[1]}.*allowed"):
        Grammar(*bounds)


@pytest.mark.parametrize("leaves", [(-1, True), (5, True), (0, False)])
def test_impossible_leaves_are_refused(leaves):
    with pytest.raises(ValueError, match=rf"language.num_variables = {leaves[0]}.*allowed"):
        Grammar(1, 5, *leaves)
    with pytest.raises(ValueError, match=r"language.constants = False.*max_depth = 1.*allowed"):
        Grammar(1, 1, 2, constants=False)
