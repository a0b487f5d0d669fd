import itertools

import numpy as np
import pytest

from logic.boolean import support
from logic.boolean.grammar import Grammar
from logic.boolean.symbols import decode


@pytest.mark.parametrize(("min_depth", "max_depth"), [(0, 0), (0, 1), (1, 1), (1, 2), (0, 2), (2, 2), (1, 3), (3, 3)])
def test_lists_everything_once_and_nothing_else(min_depth, max_depth):
    grammar = Grammar(min_depth, max_depth)
    listed = support.expressions(grammar)
    assert len(set(listed)) == len(listed) == support.count(grammar)
    assert np.exp(grammar.log_probability(listed)).sum() == pytest.approx(1)
    assert listed == sorted(listed)


def test_equals_brute_force_over_texts():
    def texts(depth):
        if depth == 0:
            return ["True", "False"]
        inner = texts(depth - 1)
        pairs = itertools.product(inner, ("and", "or"), inner)
        return ["True", "False", *(f"(not {a})" for a in inner), *(f"({a} {op} {b})" for a, op, b in pairs)]

    true = {text for text in texts(2) if eval(text) and text != "True"}  # texts of our own, not samples
    assert set(decode(support.expressions(Grammar(1, 2)))) == true


@pytest.mark.parametrize(("num_variables", "constants"), [(1, True), (2, True), (2, False), (4, True)])
@pytest.mark.parametrize("min_depth", [0, 1, 2])
def test_with_variables(num_variables, constants, min_depth):
    grammar = Grammar(min_depth, 2, num_variables, constants)
    listed = support.expressions(grammar)
    assert len(set(listed)) == len(listed) == support.count(grammar)
    assert np.exp(grammar.log_probability(listed)).sum() == pytest.approx(1)
    assert listed == sorted(listed)


def test_what_cannot_even_be_counted_is_refused():
    with pytest.raises(
        ValueError, match=r"^language\.max_depth = 5: true expressions are too many to be counted, at most 1,000,000"
    ):
        support.expressions(Grammar(1, 5, 4))


@pytest.mark.parametrize("max_depth", [4, 5, 12])
def test_too_many_are_refused_before_any_work(max_depth):
    with pytest.raises(ValueError, match=rf"^language\.max_depth = {max_depth}: .* at most 1,000,000 can be listed$"):
        support.expressions(Grammar(1, max_depth))


def test_count_is_exact_where_it_is_large():
    """A true root is `not` of what is false, or one of four ways to join two; true and false are equally many."""
    below = 1
    for _ in range(3):
        below = 1 + below + 4 * below**2
    assert support.count(Grammar(1, 4)) == below + 4 * below**2
    assert (support.count(Grammar(1, 4)) or 0) > 2**34
