"""Measures of trees against trees that are taken apart by recursion."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import AND, CLOSE, NOT, OPEN, OR, TRUE, encode
from logic.boolean.trees import commutative_form, root_operator, subtree_counts
from logic.boolean.truth_table import evaluate


def subtrees(expression: bytes) -> list[bytes]:
    """All subtrees of a fully bracketed expression: every leaf, and everything between a pair of brackets."""
    found, opened = [], []
    for i, symbol in enumerate(expression):
        if symbol == OPEN:
            opened.append(i)
        elif symbol == CLOSE:
            found.append(expression[opened.pop() : i + 1])
        elif symbol >= TRUE:
            found.append(expression[i : i + 1])
    return found


@pytest.mark.parametrize("num_variables", range(5))
def test_subtrees_are_counted_by_their_truth_tables(num_variables):
    expressions = Grammar(1, 4, num_variables).sample(300, np.random.default_rng(0))
    apart = [part for e in expressions for part in subtrees(e)]
    expected = np.bincount(evaluate(apart, num_variables).table, minlength=2**2**num_variables)
    np.testing.assert_array_equal(subtree_counts(expressions, num_variables), expected)


def test_what_is_not_fully_bracketed_has_no_subtrees():
    lines = ["p or q", "(p", "((p))", "(not not p)", "", "q"]
    counts = subtree_counts(encode(lines, 2), 2)
    assert counts.sum() == 1 and counts[0b1100] == 1
    assert subtree_counts([], 1).tolist() == [0, 0, 0, 0]


def test_words_that_are_no_operands_are_not_put_in_order():
    for text in ("(True and or)", "(or and True)", "(and and (not True))", "(False or ))", "((not and) or True)"):
        (e,) = encode([text])
        assert commutative_form(e) == e
    assert len({commutative_form(e) for e in encode(["(True and or)", "(or and True)"])}) == 2
    assert len({commutative_form(e) for e in encode(["(True and p)", "(p and True)"])}) == 2  # p is no word here
    assert len({commutative_form(e) for e in encode(["(True and p)", "(p and True)"], 1)}) == 1


@given(st.lists(st.sampled_from([OPEN, OPEN, CLOSE, CLOSE, AND, OR, NOT, 6, 7, 8, 9, 12]), max_size=14).map(bytes))
def test_other_forms_are_those_of_fully_bracketed_expressions_alone(e):
    form = commutative_form(e)
    assert Counter(form) == Counter(e) and commutative_form(form) == form
    if form != e:
        whole, ordered = (evaluate([x], 2) for x in (e, form))
        assert whole.bracketed[0] and ordered.bracketed[0] and whole.table[0] == ordered.table[0]


def test_root_of_a_leaf_is_none():
    assert root_operator(encode(["p", "(p or q)", "(not p)", "True"], 2)).tolist() == [0, OR, NOT, 0]
