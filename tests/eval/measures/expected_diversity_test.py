from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures.diversity import levenshtein_diversity
from eval.measures.expected_diversity import expected_diversity
from logic.boolean.grammar import Grammar

SYMBOLS = st.binary(max_size=8).map(lambda b: bytes(x % 8 for x in b))


@settings(max_examples=50)
@given(st.dictionaries(SYMBOLS, st.integers(1, 5), min_size=1, max_size=12))
def test_is_the_mean_over_ordered_pairs_of_a_set(counts):
    """Of a set's own frequencies: its diversity, thinned by the pairs of an example with itself."""
    n = sum(counts.values())
    p_UK = np.array(list(counts.values()))[:, None] / n
    expected = levenshtein_diversity(Counter(counts)) * (n - 1) / n if n > 1 else 0.0
    assert expected_diversity(list(counts), p_UK)[0] == pytest.approx(expected, abs=1e-12)


def test_blocks_and_several_distributions_change_nothing(monkeypatch):
    expressions = sorted(set(Grammar(1, 3).sample(80, np.random.default_rng(0))))
    p_UK = np.random.default_rng(1).dirichlet(np.ones(len(expressions)), 3).T
    whole = expected_diversity(expressions, p_UK)
    alone = [expected_diversity(expressions, p_UK[:, [k]])[0] for k in range(3)]
    monkeypatch.setattr("eval.measures.expected_diversity._ROWS", 7)
    monkeypatch.setattr("eval.measures.expected_diversity._COLUMNS", 19)
    done: list[float] = []
    np.testing.assert_allclose(expected_diversity(expressions, p_UK, done.append), whole, rtol=1e-12)
    np.testing.assert_allclose(alone, whole, rtol=1e-12)
    assert done == sorted(done)
    assert done[-1] == 1


def test_is_the_expectation_over_samples():
    grammar = Grammar(1, 2)
    expressions = sorted(set(grammar.sample(5_000, np.random.default_rng(0))))
    p_U = np.exp(grammar.log_probability(expressions))
    p_U /= p_U.sum()
    rng, n = np.random.default_rng(1), 12
    values = [
        levenshtein_diversity(Counter(expressions[i] for i in rng.choice(len(p_U), n, p=p_U))) for _ in range(400)
    ]
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert abs(np.mean(values) - expected_diversity(expressions, p_U[:, None])[0]) < 4 * error
