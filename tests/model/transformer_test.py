import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import model.transformer
from model.config import ModelConfig
from model.dropout import DropoutKey
from model.kv_cache import init_cache
from model.models import negative_log_likelihood, num_params
from model.transformer import (
    forward,
    forward_cached,
    init_params,
    product,
    rotate,
)

TINY = ModelConfig(num_layers=2, num_heads=2, width=16, context_length=12, dropout=0.0, vocab_size=8)
VARIANTS = [
    TINY,
    dataclasses.replace(TINY, positions="rotary", norm="rmsnorm"),
    dataclasses.replace(TINY, tie_embeddings=False, num_heads=4),
]
read = jax.jit(forward, static_argnums=0)  # whole sequences


@functools.cache
def random_params(config: ModelConfig, seed: int = 0) -> dict:
    """Weights large enough that every part of the model matters to the logits."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        around = 1 if path[-1].key == "scale" else 0  # of a norm
        return jnp.asarray(rng.normal(around, 0.3, leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def random_ids(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 8, shape)


@pytest.mark.parametrize("config", VARIANTS)
def test_future_symbols_do_not_change_logits(config):
    params, ids_BT = random_params(config), random_ids((3, 12))
    changed_BT = ids_BT.copy()
    changed_BT[:, 7:] = (changed_BT[:, 7:] + 1) % 8
    apply = jax.jit(lambda ids: forward(config, params, ids))
    a_BTV, b_BTV = apply(ids_BT), apply(changed_BT)
    np.testing.assert_allclose(a_BTV[:, :7], b_BTV[:, :7], atol=1e-5)
    assert np.abs(a_BTV[:, 7:] - b_BTV[:, 7:]).max() > 0.1


@pytest.mark.parametrize("config", VARIANTS)
def test_cached_reading_equals_the_full_forward_pass(config):
    params, ids_BT = random_params(config), random_ids((3, 12))
    step = jax.jit(forward_cached, static_argnums=0)
    full_BTV = read(config, params, ids_BT)
    cache, parts = init_cache(config, 3, 12), []
    for t in range(12):
        part, cache = step(config, params, ids_BT[:, t], cache)
        parts.append(part)
    np.testing.assert_allclose(np.stack(parts, axis=1), full_BTV, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("config", VARIANTS)
def test_rows_that_begin_again_forget_what_was_before(config):
    """Row b begins a new sequence after 3 + b symbols, in a ring too short for all of them."""
    params, ids_BT = random_params(config), random_ids((3, 12))
    step = jax.jit(forward_cached, static_argnums=0)
    cache, parts = init_cache(config, 3, 9), []
    for t in range(12):
        begins_B = np.array([t == 3 + b for b in range(3)])
        cache = cache.replace(position_B=jnp.where(begins_B, 0, cache.position_B))
        part, cache = step(config, params, ids_BT[:, t], cache)
        parts.append(part)
    for b in range(3):
        alone_TV = read(config, params, ids_BT[b : b + 1, 3 + b :])[0]
        np.testing.assert_allclose(np.stack(parts, axis=1)[b, 3 + b :], alone_TV, atol=1e-4)


@pytest.mark.slow
def test_long_windows_are_attended_as_short_ones(monkeypatch):
    config = dataclasses.replace(TINY, context_length=15)  # halves that differ
    params, ids_BT = random_params(config), random_ids((3, 15))
    short_BTV = jax.jit(lambda ids_BT: forward(config, params, ids_BT))(ids_BT)
    monkeypatch.setattr(model.transformer, "LONG", 15)
    long_BTV = jax.jit(lambda ids_BT: forward(config, params, ids_BT))(ids_BT)  # read anew
    np.testing.assert_allclose(long_BTV, short_BTV, atol=1e-5)


def test_a_products_gradient_is_that_of_the_plain_one():
    rng = np.random.default_rng(0)
    for D, F in ((3, 7), (7, 3)):
        x, w, dy = (jnp.array(rng.normal(size=s)) for s in ((5, D), (D, F), (5, F)))
        ours, plain = (jax.vjp(f, x, w)[1](dy) for f in (product, jnp.matmul))
        for a, b in zip(ours, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.slow
def test_rotary_scores_depend_on_distance_only():
    x = jax.random.normal(jax.random.key(0), (2, 1, 1, 8))
    q, k = x[:1], x[1:]

    def score(i: int, j: int) -> float:
        return float(jnp.sum(rotate(q, jnp.array([[i]])) * rotate(k, jnp.array([[j]]))))

    assert score(9, 5) == pytest.approx(score(104, 100), abs=1e-4)
    assert abs(score(9, 5) - score(9, 2)) > 1e-2


def test_learned_positions_tell_places_apart():
    params = random_params(TINY)
    logits_BTV = read(TINY, params, np.full((1, 12), 3))
    assert np.abs(logits_BTV[0, 0] - logits_BTV[0, 1]).max() > 0.1


def test_the_papers_model_has_10_6_million_parameters():
    assert 10.55e6 < num_params(ModelConfig(vocab_size=8)) < 10.75e6


def test_untied_output_has_its_own_matrix():
    tied, untied = (num_params(dataclasses.replace(TINY, tie_embeddings=t)) for t in (True, False))
    assert untied - tied == 8 * 16


@pytest.mark.slow
def test_dropout_is_random_in_training_only():
    config = dataclasses.replace(TINY, dropout=0.5)
    params, ids_BT = random_params(config), random_ids((2, 12))

    def train(seed: int) -> jax.Array:
        return read(config, params, ids_BT, DropoutKey(jax.random.key(seed)))

    assert np.abs(train(0) - train(1)).max() > 0.1
    np.testing.assert_array_equal(train(0), train(0))
    plain = read(config, params, ids_BT)
    np.testing.assert_allclose(plain, read(TINY, params, ids_BT), atol=1e-6)


@pytest.mark.slow
def test_bfloat16_keeps_parameters_and_logits_in_float32():
    config = dataclasses.replace(TINY, dtype="bfloat16")
    params, ids_BT = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0)), random_ids((2, 12))
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    half = read(config, params, ids_BT)
    full = read(TINY, params, ids_BT)
    assert half.dtype == jnp.float32
    difference = np.abs(half - full).max()
    assert 0 < difference < 0.02
    assert (half != half.astype(jnp.bfloat16)).mean() > 0.9  # the output layer did not round them, which makes ties


def test_loss_equals_the_definition():
    logits_BTV = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    target_BT = random_ids((2, 3))
    p_BTV = np.exp(logits_BTV) / np.exp(logits_BTV).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p_BTV, target_BT[..., None], -1)[..., 0])
    np.testing.assert_allclose(negative_log_likelihood(jnp.array(logits_BTV), target_BT), expected, rtol=1e-5)
