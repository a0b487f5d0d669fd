import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.measures.anatomy import anatomy
from eval.measures.diversity import unique_trees_fraction
from logic.boolean.grammar import Grammar
from logic.boolean.language import Boolean
from logic.boolean.symbols import AND, OR, encode
from logic.boolean.trees import commutative_form
from logic.boolean.verifier import verify
from loop.examples import Examples, concatenate

GRAMMAR = Grammar(1, 3)


def swapped(expression: bytes, rng: np.random.Generator) -> bytes:
    """The same tree with operands exchanged at random, by recursion."""
    if len(expression) == 1:
        return expression
    inside, depth, parts, start = expression[1:-1], 0, [], 0
    for i, symbol in enumerate(inside):
        depth += (symbol == 1) - (symbol == 2)
        if depth == 0 and symbol in (AND, OR):
            parts, start = [inside[:i], inside[i : i + 1]], i + 1
    if not parts:
        return expression[:2] + swapped(expression[2:-1], rng) + expression[-1:]
    pair = [swapped(parts[0], rng), swapped(inside[start:], rng)]
    a, b = pair if rng.random() < 0.5 else pair[::-1]
    return expression[:1] + a + parts[1] + b + expression[-1:]


def test_swapping_operands_does_not_change_the_form():
    rng = np.random.default_rng(0)
    expressions = GRAMMAR.sample(500, rng)
    others = [swapped(e, rng) for e in expressions]
    assert others != expressions
    assert [commutative_form(e) for e in others] == [commutative_form(e) for e in expressions]
    assert all(commutative_form(e) == commutative_form(commutative_form(e)) for e in expressions)
    assert (GRAMMAR.log_probability([commutative_form(e) for e in expressions]) > -np.inf).all()


def test_different_trees_stay_different():
    forms = encode(["(True and False)", "(False and True)", "(True or False)", "(not True)", "(not False)"])
    assert len({commutative_form(e) for e in forms}) == 4
    assert unique_trees_fraction(Counter(forms), Boolean()) == 4 / 5


@given(st.lists(st.integers(1, 7), max_size=12).map(bytes))
def test_what_is_not_fully_bracketed_is_left_alone(e):
    form = commutative_form(e)
    assert Counter(form) == Counter(e)
    if not verify([e], Grammar(0, 12)).in_support[0] and not verify([e], GRAMMAR).syntactic[0]:
        assert form == e


def test_anatomy_counts():
    train = concatenate([Examples.drawn(encode(["(not False)", "(True or True)"]), 0)])
    lines = ["(not False)", "(not False)", "(True and False)", "", "True or"]
    samples = Examples.written(encode(lines), 0, train)
    language = Boolean(1, 3)
    found = anatomy(samples, language.verify(samples.expressions), train, language)
    assert json.loads(json.dumps(found)) == found
    assert (found["samples"], found["distinct"], found["distinct_trees"]) == (5, 4, 4)
    assert found["depth"] == [2, 3]
    assert found["passed_by_depth"] == {"syntactic": [0, 3], "semantic": [0, 2], "in_support": [0, 2]}
    assert "functions" not in found  # without variables a truth table is a value
    assert found["length"] == [1, 0, 1, 0, 2, 1]
    assert found["symbols"] == {"(": 3, ")": 3, "and": 1, "or": 1, "not": 2, "True": 2, "False": 3}
    assert found["roots"] == [[-1, 2], [0, 3]]
    assert found["train_origin"] == [["real", 0, 2]]
    assert found["top"][0] == {
        "expression": "(not False)",
        "share": 0.4,
        "probability": pytest.approx(2 * 1 / 3 * 1 / 5),
        "syntactic": True,
        "semantic": True,
        "in_support": True,
    }
    assert {t["probability"] for t in found["top"][1:]} == {0.0}


def test_anatomy_with_variables():
    language, nothing = Boolean(1, 3, 2), Examples.drawn([], 0)
    lines = ["True", "False", "(True", "(p or (not p))", "(p or q)", "((p and (not p)) or (not p))", "(((", ""]
    samples = Examples.written(language.encode(lines), 0, nothing)
    found = anatomy(samples, language.verify(samples.expressions), nothing, language)
    assert json.loads(json.dumps(found)) == found
    assert found["depth"] == [3, 2, 1, 2]
    assert found["passed_by_depth"]["syntactic"] == [2, 1, 1, 1]
    assert found["passed_by_depth"]["semantic"] == [1, 0, 1, 0]
    # Of the only sample in the support, (p or (not p)): p twice, not p, and what is always true.
    assert found["functions"] == [[0b0101, 1], [0b1010, 2], [0b1111, 1]]
    assert found["symbols"]["q"] == 1 and "r" not in found["symbols"]
