import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.learners.prefix_tree import PrefixTree
from loop.learners.sharpen import sharpen
from model.config import SampleConfig

SYMBOLS = st.binary(max_size=6).map(lambda b: bytes(1 + x % 3 for x in b))
WEIGHTS = st.dictionaries(SYMBOLS, st.integers(1, 9), min_size=1, max_size=15)
CONFIG = st.builds(
    SampleConfig,
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 2]),
    top_p=st.sampled_from([0.517, 0.853, 1.0]),  # no ratio of the weights,
)


def naive(weights: dict[bytes, int], config: SampleConfig, context_length: int) -> dict[bytes, float]:
    """Walks every prefix with a dictionary: what `PrefixTree` does with arrays."""
    closed: dict[bytes, int] = {}
    for e, weight in weights.items():
        symbols = (e + b"\0")[:context_length]
        closed[symbols] = closed.get(symbols, 0) + weight
    p = dict.fromkeys(closed, 1.0)
    for symbols in closed:
        for j in range(len(symbols)):
            mass = [0] * 4
            for other, weight in closed.items():
                if other[:j] == symbols[:j]:
                    mass[other[j]] += weight
            with np.errstate(divide="ignore"):
                p[symbols] *= math.exp(sharpen(np.log([mass]), config)[0, symbols[j]])
    return {symbols.rstrip(b"\0"): value for symbols, value in p.items()}


def sharpened(weights, config, context_length):
    tree = PrefixTree(list(weights), context_length)
    total = dict.fromkeys(tree.expressions, 0)
    for e, weight in weights.items():
        total[e[:context_length]] += weight
    log_p_U = tree.sharpen(np.log([total[e] for e in tree.expressions]), config)
    return dict(zip(tree.expressions, np.exp(log_p_U).tolist(), strict=True))


@settings(max_examples=60)
@given(WEIGHTS, CONFIG, st.integers(1, 8))
def test_equals_a_walk_over_every_prefix(weights, config, context_length):
    found, expected = sharpened(weights, config, context_length), naive(weights, config, context_length)
    assert found.keys() == expected.keys()
    for e in found:
        assert found[e] == pytest.approx(expected[e], abs=1e-12)


@given(WEIGHTS, CONFIG, st.integers(1, 8))
def test_is_a_distribution(weights, config, context_length):
    assert math.fsum(sharpened(weights, config, context_length).values()) == pytest.approx(1)


@given(WEIGHTS)
def test_temperatures_multiply(weights):
    """Without filters, sharpening twice is sharpening once by the product: every conditional is a power."""
    tree = PrefixTree(list(weights), 99)
    log_weight_U = np.log([weights[e] for e in tree.expressions])
    twice = tree.sharpen(tree.sharpen(log_weight_U, SampleConfig(temperature=0.5)), SampleConfig(temperature=0.7))
    np.testing.assert_allclose(twice, tree.sharpen(log_weight_U, SampleConfig(temperature=0.35)), atol=1e-9)


def test_masses_that_are_equal_up_to_rounding_tie():
    """0.1 + 0.2 and 0.3 differ in their last digit: greedy choice takes the first symbol, top-k keeps both."""
    tree = PrefixTree([b"\1", b"\2\1", b"\2\2"], 9)
    log_p_U = np.log([0.3, 0.1, 0.2])
    np.testing.assert_array_equal(np.exp(tree.sharpen(log_p_U, SampleConfig(temperature=0))), [1, 0, 0])
    kept = np.exp(tree.sharpen(log_p_U, SampleConfig(temperature=1, top_k=1)))
    np.testing.assert_allclose(kept, [0.5, 0, 0.5])


def test_mass_may_vanish():
    tree = PrefixTree([b"\1", b"\2\1", b"\2\2", b"\3"], 9)
    log_p_U = np.array([0.0, -np.inf, -np.inf, -2_000.0])
    np.testing.assert_allclose(tree.sharpen(log_p_U, SampleConfig(temperature=0.5))[[0, 3]], [0, -4_000])
    assert np.isneginf(tree.sharpen(log_p_U, SampleConfig(temperature=0.5))[1:3]).all()


def test_refuses_nothing():
    with pytest.raises(ValueError, match="at least one"):
        PrefixTree([], 9)
