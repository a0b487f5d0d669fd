import itertools
from collections import Counter

import numpy as np
import pytest
import scipy.stats

from logic.boolean import support
from logic.boolean.fitted import FittedGrammar, fit
from logic.boolean.grammar import Grammar
from logic.boolean.language import Boolean
from logic.boolean.productions import Productions
from logic.boolean.symbols import AND, FALSE, NOT, OR, TRUE, encode
from logic.boolean.verifier import verify
from loop.learners.sharpen import draw


def fitted_to(grammar, n, seed=0):
    samples = grammar.sample(n, np.random.default_rng(seed))
    return fit(samples, np.ones(n, bool))[0]


def exact(grammar) -> FittedGrammar:
    """The real distribution as a member of the family, from weights of the whole support."""
    listed = support.expressions(grammar)
    weight = np.exp(grammar.log_probability(listed))
    g = Productions.of(grammar.num_variables, grammar.constants)
    node, depth, production = g.parse(listed)
    P = len(g.value_P)
    count = np.bincount(depth * P + production, weight[node], (depth.max() + 1) * P).reshape(-1, P)
    total = np.stack([np.bincount(g.value_P, row, g.M) for row in count])
    return FittedGrammar(count / np.maximum(total, 1e-300)[:, g.value_P], g)


def choose(rng):
    return lambda log_p_BV: draw(log_p_BV, rng)


@pytest.mark.parametrize("bounds", [(1, 2), (0, 2), (2, 3), (1, 2, 1), (0, 2, 2), (1, 3, 1, False), (2, 3, 2, False)])
def test_the_real_distribution_is_a_member(bounds):
    grammar = Grammar(*bounds)
    listed = support.expressions(grammar)[:: 1 if bounds[1] < 3 else 97]
    log_p = exact(grammar).log_likelihood(listed, 64)
    np.testing.assert_allclose(log_p, grammar.log_probability(listed), atol=1e-9)


def test_fit_recovers_the_real_distribution():
    grammar = Grammar(0, 2)
    listed = support.expressions(grammar)
    log_real = grammar.log_probability(listed)
    distances = []
    for n in (1_000, 16_000):
        log_p = fitted_to(grammar, n).log_likelihood(listed, 64)
        assert np.exp(log_p).sum() == pytest.approx(1)
        distances.append(np.abs(np.exp(log_p) - np.exp(log_real)).sum() / 2)
    assert distances[1] < 0.04
    # Sixteen times the data, a quarter of the distance: parameters are estimated as means are.
    assert distances[0] / distances[1] == pytest.approx(4, rel=0.5)


def test_probabilities_are_counts_of_parses():
    lines = ["(not False)", "(not False)", "(not False)", "(True or (not True))"]
    samples = encode(lines)
    model, left_out = fit(samples, np.ones(4, bool))
    assert left_out == 0
    # At the root 3 of 4 are `not`; below, False is a leaf in 3 of 4 places, and True always.
    np.testing.assert_allclose(np.exp(model.log_likelihood(samples, 99)) * 16, [9, 9, 9, 1])
    # Parts that were seen elsewhere join to what was not; parts that were never seen cannot be written.
    invented = encode(["(not (not True))", "(True or False)"])
    np.testing.assert_allclose(np.exp(model.log_likelihood(invented, 99)) * 16, [3, 3])
    assert np.isneginf(model.log_likelihood(encode(["(True or (not False))", "(True or True)"]), 99)).all()


def test_what_is_outside_the_support_is_left_out_and_counted():
    grammar = Grammar(1, 2)
    good = grammar.sample(50, np.random.default_rng(0))
    too_deep = "(True and (not (not (not False))))"
    bad = encode(["(not True)", "True", "((not False))", "(not False", "", "not False", too_deep])
    mixed = [e for pair in itertools.zip_longest(good, bad) for e in pair if e is not None]
    model, left_out = fit(mixed, verify(mixed, grammar).in_support)
    assert left_out == len(bad)
    np.testing.assert_array_equal(model.p_DP, fit(good, np.ones(50, bool))[0].p_DP)
    assert np.isneginf(model.log_likelihood(bad, 99)).all()
    with pytest.raises(ValueError, match="none of the 7 samples"):
        fit(bad, verify(bad, grammar).in_support)


def test_samples_have_its_distribution():
    grammar, n = Grammar(1, 2), 40_000
    model = fitted_to(grammar, 500)
    listed = support.expressions(grammar)
    expected = np.exp(model.log_likelihood(listed, 64)) * n
    counts = Counter(model.write(n, 64, choose(np.random.default_rng(1))))
    observed = np.array([counts[e] for e in listed])
    assert observed.sum() == n
    assert not observed[expected == 0].any()
    rare = expected < 5
    classes = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    keep = classes[1] > 0
    assert scipy.stats.chisquare(classes[0][keep], classes[1][keep]).pvalue > 1e-3


@pytest.mark.parametrize("grammar", [Grammar(1, 2), Grammar(1, 2, 1), Grammar(0, 2, 2)])
def test_next_symbols_are_the_conditionals_of_the_prefix_tree(grammar):
    """The walk never sees an expression as a whole: its conditionals against sums over the listed support."""
    model, listed = exact(grammar), [e + b"\0" for e in support.expressions(grammar)]
    p = np.exp(grammar.log_probability([e[:-1] for e in listed]))
    seen = {}
    for e in listed[::7]:
        path = iter(enumerate(e))

        def follow(log_p_BV, path=path, e=e):
            j, symbol = next(path)
            seen[e[:j]] = np.exp(log_p_BV[0])
            return np.array([symbol])

        model.write(1, 64, follow)
    assert len(seen) > 80
    for prefix, p_V in seen.items():
        expected = np.zeros(len(grammar.vocabulary))
        for q, e in zip(p, listed, strict=True):
            if e.startswith(prefix):
                expected[e[len(prefix)]] += q
        np.testing.assert_allclose(p_V, expected / expected.sum(), atol=1e-12)


def test_samples_cut_at_the_context_have_the_mass_of_their_beginning():
    grammar, T = Grammar(1, 2), 7
    model, listed = exact(grammar), support.expressions(grammar)
    beginnings: Counter = Counter()
    for e, log_p in zip(listed, grammar.log_probability(listed), strict=True):
        beginnings[e[:T]] += np.exp(log_p)
    np.testing.assert_allclose(np.exp(model.log_likelihood(list(beginnings), T)), list(beginnings.values()), atol=1e-12)
    assert max(map(len, model.write(300, T, choose(np.random.default_rng(0))))) == T


def test_two_rows_of_a_truth_table():
    """A variable p with the table 01: the same code, with four values instead of two."""
    p = 9  # a symbol that stands for it here
    g = Productions(leaves=((TRUE, 3), (FALSE, 0), (p, 1)), full=3)
    lines = [bytes([1, p, OR, 1, NOT, p, 2, 2]), bytes([1, NOT, 1, p, AND, 1, NOT, p, 2, 2, 2])]  # p or not p; …
    node, depth, production = g.parse(lines)
    value_of = dict(zip(zip(node.tolist(), depth.tolist(), strict=True), g.value_P[production].tolist(), strict=True))
    assert value_of[0, 0] == value_of[1, 0] == 3
    assert sorted(g.value_P[production[node == 0]].tolist()) == [1, 1, 2, 3]
    assert sorted(g.value_P[production[node == 1]].tolist()) == [0, 1, 1, 2, 3]
    assert g.symbol_P[production[(node == 1) & (depth == 1)]].tolist() == [AND]


@pytest.mark.parametrize("leaves", [(1, True), (2, True), (2, False)])
def test_a_fit_with_variables_writes_tautologies_as_often_as_it_says(leaves):
    language = Boolean(1, 3, *leaves)
    samples = [*language.sample(300, np.random.default_rng(0)), *language.encode(["(p or p)", "p", ""])]
    model, left_out = language.fit(samples)
    assert left_out == 3
    written = model.write(4_000, 64, choose(np.random.default_rng(1)))
    assert language.verify(written)["in_support"].all()
    counts, (common, times) = Counter(written), Counter(written).most_common(1)[0]
    p = float(np.exp(model.log_likelihood([common], 64))[0])
    assert times / counts.total() == pytest.approx(p, abs=4 * (p * (1 - p) / counts.total()) ** 0.5)


def test_too_many_variables_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^language\.num_variables = 3: the grammar learner is for at most 2$"):
        Boolean(1, 3, 3).fit([])
