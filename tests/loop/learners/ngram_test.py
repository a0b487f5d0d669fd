import itertools
import math
import types
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from logic.boolean.grammar import Grammar
from loop.learners.ngram import NGram
from model.config import SampleConfig

V = 4
LANGUAGE = types.SimpleNamespace(vocabulary=("<eos>", "a", "b", "c"))
SYMBOLS = st.binary(max_size=5).map(lambda b: bytes(1 + x % (V - 1) for x in b))


def witten_bell(examples, order, context, symbol):
    """The recursion of the definition; the context is what stands before, `<eos>`s included."""
    if order == 0:
        return 1 / V
    k = order - 1
    context = context[len(context) - k :]
    counts: Counter = Counter()
    for e in examples:
        closed = bytes(k) + e + b"\0"
        counts.update(closed[j] for j in range(k, len(closed)) if closed[j - k : j] == context)
    below = witten_bell(examples, order - 1, context, symbol)
    if not counts:
        return below
    return (counts[symbol] + len(counts) * below) / (counts.total() + len(counts))


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(SYMBOLS, min_size=1, max_size=12), st.lists(SYMBOLS, max_size=4), st.integers(1, 5))
def test_likelihood_equals_the_definition(examples, others, order):
    model = NGram(order).learn(examples, LANGUAGE, 99)
    for e, found in zip(examples + others, model.log_likelihood(examples + others), strict=True):
        closed = bytes(order) + e + b"\0"
        expected = sum(math.log(witten_bell(examples, order, closed[:j], closed[j])) for j in range(order, len(closed)))
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("context_length", [1, 3, 5])
def test_probabilities_sum_to_one_over_all_samples(order, context_length):
    rng = np.random.default_rng(0)
    examples = [bytes(rng.integers(1, V, rng.integers(0, 6)).tolist()) for _ in range(30)]
    model = NGram(order).learn(examples, LANGUAGE, context_length)
    every = [bytes(x) for n in range(context_length + 1) for x in itertools.product(range(1, V), repeat=n)]
    assert np.exp(model.log_likelihood(every)).sum() == pytest.approx(1, abs=1e-12)


def test_samples_have_its_distribution_and_are_cut():
    rng = np.random.default_rng(1)
    examples = [bytes(rng.integers(1, V, rng.integers(0, 4)).tolist()) for _ in range(20)]
    model = NGram(3).learn(examples, LANGUAGE, 3)
    every = [bytes(x) for n in range(4) for x in itertools.product(range(1, V), repeat=n)]
    n = 20_000
    counts = Counter(model.sample(n, np.random.default_rng(2), SampleConfig(temperature=1.0)))
    observed = np.array([counts[e] for e in every])
    assert observed.sum() == n
    assert scipy.stats.chisquare(observed, np.exp(model.log_likelihood(every)) * n).pvalue > 1e-3


def test_low_temperature_sharpens_and_zero_is_greedy():
    grammar = Grammar(1, 2)
    language = types.SimpleNamespace(vocabulary=range(8))
    model = NGram().learn(grammar.sample(1_000, np.random.default_rng(0)), language, 16)
    distinct = [
        len(set(model.sample(1_000, np.random.default_rng(0), SampleConfig(temperature=t)))) for t in (0, 0.3, 1, 2)
    ]
    assert distinct[0] == 1
    assert distinct == sorted(distinct)


def test_it_invents_and_higher_orders_invent_less():
    grammar = Grammar(1, 2)
    language = types.SimpleNamespace(vocabulary=range(8))
    examples, config = grammar.sample(2_000, np.random.default_rng(0)), SampleConfig(temperature=1.0)
    invented = []
    for order in (2, 4, 6):
        samples = NGram(order).learn(examples, language, 16).sample(2_000, np.random.default_rng(1), config)
        invented.append(np.mean([e not in set(examples) for e in samples]))
    assert invented[0] > invented[1] > invented[2] > 0


def test_refusals():
    for order in (0, 8):
        with pytest.raises(ValueError, match=f"order = {order}: allowed are 1 to 7"):
            NGram(order)
    with pytest.raises(ValueError, match="symbol 9 is not in the vocabulary of 4"):
        NGram().learn([b"\1", b"\x09"], LANGUAGE, 9)
    with pytest.raises(ValueError, match="at least one"):
        NGram().learn([], LANGUAGE, 9)
    model = NGram().learn([b"\1"], LANGUAGE, 9)
    assert np.isneginf(model.log_likelihood([b"\1\x09"])).all()
