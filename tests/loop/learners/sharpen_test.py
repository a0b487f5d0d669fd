import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.learners.sharpen import draw, sharpen
from model.config import SampleConfig
from model.sampling import choose, filter_logits

# Few values, so that ties are the rule; some symbols cannot follow.
ROW = st.lists(st.sampled_from([-np.inf, -1.5, -0.25, 0.0, 0.0, 1.0, 2.5]), min_size=8, max_size=8).filter(
    lambda row: np.isfinite(row).any()
)
CONFIG = st.builds(
    SampleConfig,
    temperature=st.sampled_from([0.3, 0.8, 1.0, 2.0]),
    top_k=st.integers(0, 8),
    top_p=st.sampled_from([0.05, 0.3, 0.6, 0.9, 1.0]),
)


@pytest.mark.slow
@settings(max_examples=100)
@given(st.lists(ROW, min_size=1, max_size=5), CONFIG)
def test_is_the_models_own_definition(rows, config):
    logits_BV = np.array(rows)
    same_shape_BV = np.resize(logits_BV, (5, logits_BV.shape[1]))  # whatever the number of rows: nothing compiles twice
    with jax.enable_x64(True):
        expected_BV = np.asarray(jax.nn.log_softmax(filter_logits(jnp.asarray(same_shape_BV), config), axis=-1))
    expected_BV = expected_BV[: len(rows)]
    log_p_BV = sharpen(logits_BV, config)
    np.testing.assert_array_equal(np.isneginf(log_p_BV), np.isneginf(expected_BV))
    np.testing.assert_allclose(np.exp(log_p_BV), np.exp(expected_BV), atol=1e-12)


@given(st.lists(ROW, min_size=1, max_size=5), CONFIG)
def test_rows_are_distributions_on_what_can_follow(rows, config):
    p_BV = np.exp(sharpen(np.array(rows), config))
    np.testing.assert_allclose(p_BV.sum(axis=1), 1)
    assert not p_BV[np.isneginf(rows)].any()


@given(st.lists(ROW, min_size=1, max_size=5))
def test_temperature_zero_is_the_models_greedy_choice(rows):
    config, logits_BV = SampleConfig(temperature=0), np.array(rows)
    chosen_B = np.asarray(choose(jax.random.split(jax.random.key(0), len(rows)), jnp.asarray(logits_BV), config))
    p_BV = np.exp(sharpen(logits_BV, config))
    np.testing.assert_array_equal(p_BV.argmax(axis=1), chosen_B)
    np.testing.assert_array_equal(p_BV.sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(3))
def test_draws_have_the_distribution(seed):
    p_V = np.array([0.0, 0.5, 0.2, 0.0, 0.25, 0.05, 0.0])
    with np.errstate(divide="ignore"):
        log_p_BV = np.tile(np.log(p_V), (20_000, 1))
    count_V = np.bincount(draw(log_p_BV, np.random.default_rng(seed)), minlength=7)
    assert not count_V[p_V == 0].any()
    assert scipy.stats.chisquare(count_V[p_V > 0], p_V[p_V > 0] * 20_000).pvalue > 1e-3
