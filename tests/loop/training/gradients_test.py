"""Gradients of a batch in parts are those of the whole batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch.configuration import resolve
from launch.presets import smoke
from loop.training.gradients import ALONE, Placement, batch_loss, loss_and_gradients
from loop.training.treatment import UNTREATED, treatments
from tests.loop.training.train_test import MODEL
from tests.model.transformer_test import random_params

pytestmark = pytest.mark.slow

BATCH, T = 12, MODEL.context_length
DROPPED = dataclasses.replace(MODEL, dropout=0.3)
REMEDIES = ("none", "truncated(gamma=0.6)", "focal")


def windows(seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 8, (BATCH, T + 1)).astype(np.int32))


def weights(seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(0, 3, (BATCH, T)).astype(np.float32))


def treatment(run):
    every = treatments([resolve(smoke.get_config())] * len(REMEDIES), REMEDIES)
    return jax.tree.map(lambda x: jnp.asarray(x[run]), every)


def agree(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)


def differ(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)) > 1e-3


@pytest.mark.parametrize(
    ("parts", "key", "remedy", "weight"),
    [(12, None, None, None), (3, 7, 1, weights()), (4, 7, 2, weights())],
    ids=["plain", "dropout, truncated, weights", "dropout, focal, weights"],
)
def test_parts_give_the_loss_and_gradients_of_the_whole(parts, key, remedy, weight):
    params, batch = random_params(DROPPED), windows()
    drop = None if key is None else jax.random.key(key)
    treated = UNTREATED if remedy is None else treatment(remedy)

    def of(*asked):
        return jax.jit(lambda p: loss_and_gradients(DROPPED, p, batch, *asked))(params)

    whole = of(drop, ALONE, treated, weight)
    agree(of(drop, Placement(parts), treated, weight), whole)
    if (key, remedy) != (None, None):  # what is asked for matters
        assert differ(whole, of())


@pytest.mark.parametrize(
    "several", [jax.vmap, lambda f: lambda *a: jax.lax.map(lambda x: f(*x), a)], ids=["vmap", "map"]
)
def test_parts_of_several_runs_at_once(several):
    runs = range(len(REMEDIES))
    params = jax.tree.map(lambda *x: jnp.stack(x), *[random_params(DROPPED, seed) for seed in runs])
    batch, weight = (jnp.stack([f(seed) for seed in runs]) for f in (windows, weights))
    keys = jax.random.split(jax.random.key(0), len(REMEDIES))
    treated = jax.tree.map(jnp.asarray, treatments([resolve(smoke.get_config())] * len(REMEDIES), REMEDIES))

    def of(place):
        def one(p, b, k, t, w):
            return loss_and_gradients(DROPPED, p, b, k, place, t, w)

        return jax.jit(several(one))(params, batch, keys, treated, weight)

    agree(of(Placement(3)), of(ALONE))


def test_the_loss_of_an_evaluation_in_parts():
    params, batch = random_params(MODEL), windows()
    whole = batch_loss(MODEL, params, batch)
    assert float(whole) == pytest.approx(float(batch_loss(MODEL, params, batch, Placement(4))), rel=1e-5)
    assert float(whole) == pytest.approx(float(loss_and_gradients(MODEL, params, batch)[0]), rel=1e-5)
