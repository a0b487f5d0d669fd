"""Graded truth and truth functions of subtrees, of languages with variables."""

import itertools

import numpy as np
import pytest

from eval.measures.observation import Observation
from eval.measures.registry import columns, measure
from logic.boolean.language import Boolean
from loop.examples import Examples


def measured(language: Boolean, samples: list[bytes]) -> dict:
    written = Examples.written(samples, 0, Examples.drawn([], 0))
    return measure(Observation(language, written, language.verify(samples)))


@pytest.mark.slow
def test_rows_true_are_counted_by_python():
    language = Boolean(1, 3, 2)
    lines = [
        "(p or (not p))",
        "(p or q)",
        "p and q",
        "not (p and q)",
        "(p",
        "",
        "True",
        "((p and q) or ((not p) and q))",
    ]
    rows = []
    for line in lines:
        code = line if line.count("(") == line.count(")") and line else "False"  # texts of our own, not samples
        rows += [eval(code, {}, {"p": p, "q": q}) for p, q in itertools.product((False, True), repeat=2)]
    assert measured(language, language.encode(lines))["rows_true"] == pytest.approx(np.mean(rows))


def test_they_are_absent_without_variables():
    only = set(columns(Boolean(1, 3, 1))) - set(columns(Boolean(1, 3)))
    assert only == {"rows_true", "tv_functions"} and set(columns(Boolean(1, 3))) < set(columns(Boolean(1, 3, 1)))


@pytest.mark.slow
@pytest.mark.parametrize(("num_variables", "constants"), [(1, True), (2, True), (2, False), (3, True)])
def test_functions_of_real_samples_differ_by_noise_alone(num_variables, constants):
    language = Boolean(1, 3, num_variables, constants)
    values = [measured(language, language.sample(n, np.random.default_rng(n)))["tv_functions"] for n in (500, 8_000)]
    assert values[1] < 0.02 and values[0] / values[1] == pytest.approx(4, rel=0.6)  # sixteen times the samples


def test_forgotten_functions_are_seen():
    """Of samples in which nothing but constants is left, hand-counted."""
    language = Boolean(1, 2, 1)
    samples = language.encode(["(not False)", "(True or True)", "(p or p)"])  # the last is no tautology: not counted
    expected = language.grammar.subtree_counts()
    expected /= expected.sum()
    observed = np.array([1, 0, 0, 4]) / 5
    assert measured(language, samples)["tv_functions"] == pytest.approx(np.abs(observed - expected).sum() / 2)
    assert measured(language, language.encode(["p"]))["tv_functions"] is None


def test_functions_have_names():
    functions = Boolean(1, 3, 2).functions
    assert functions is not None
    assert [functions.spell(mask) for mask in (0b1111, 0b0110)] == ["True", "((p or q) and (not (p and q)))"]
    assert len(functions.expected) == 16
