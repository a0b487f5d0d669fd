import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from logic.boolean.language import Boolean
from loop.config import TrainConfig
from loop.examples import Examples
from loop.streams import Purpose, key
from loop.training import train
from loop.training.data import lay_out, windows
from loop.training.treatment import Treatment
from model.config import ModelConfig
from model.transformer import forward

MODEL = ModelConfig(
    num_layers=1, num_heads=2, width=16, context_length=16, dropout=0.0, positions="rotary", vocab_size=8
)
CONFIG = TrainConfig(
    batch_size=16,
    max_steps=150,
    warmup_steps=5,
    eval_interval=50,
    eval_batches=2,
    learning_rate=1e-2,
    windows="aligned",
)
SEED, GENERATION = jnp.uint32(3), jnp.int32(1)
init_state, train_chunk = (jax.jit(f, static_argnums=(0, 1)) for f in (train.init_state, train.train_chunk))


@pytest.fixture(scope="module")
def data():
    examples = Examples.drawn(Boolean(1, 2).sample(100, np.random.default_rng(0)), 0)
    return jax.tree.map(jnp.asarray, lay_out(examples, np.random.default_rng(1), 0.2, (2_000, 100)))


def run(config, data, chunks, state=None, model=MODEL):
    states = [init_state(model, config, SEED, GENERATION) if state is None else state]
    for _ in range(chunks):
        states.append(train_chunk(model, config, states[-1], data, SEED, GENERATION))
    return states


@pytest.mark.slow
def test_training_learns_and_keeps_the_best(data):
    states = run(CONFIG, data, 3)
    assert [int(s.step) for s in states] == [0, 50, 100, 150]
    assert states[-1].validation_loss < 0.8 * states[1].validation_loss
    assert float(states[-1].validation_loss) == min(float(s.validation_loss) for s in states[1:])
    last = states[-1]
    evaluate = jax.jit(train.evaluate, static_argnums=(0, 1))
    again = evaluate(MODEL, CONFIG, last.best_params, data, key(SEED, GENERATION, Purpose.EVALUATION))
    assert again == pytest.approx((float(last.train_loss), float(last.validation_loss)), rel=1e-5)
    assert not train.is_active(CONFIG, last)


@pytest.mark.slow
def test_a_chunk_equals_its_steps_one_by_one(data):
    config = dataclasses.replace(CONFIG, eval_interval=5)
    state = init_state(MODEL, config, SEED, GENERATION)
    step = jax.jit(lambda s, b: train.train_step(MODEL, config, s, b, None))
    for i in range(5):
        batch_key = jax.random.fold_in(key(SEED, GENERATION, Purpose.BATCH), i)
        state, _ = step(state, windows(data, batch_key, (16, 16), True))
    chunk = run(config, data, 1)[-1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state.params, chunk.params)


@pytest.mark.slow
def test_steps_end_at_max_steps_within_a_chunk(data):
    states = run(dataclasses.replace(CONFIG, max_steps=7), data, 1)
    assert int(states[-1].step) == 7
    assert np.isfinite(states[-1].validation_loss)


@pytest.mark.slow
def test_patience_stops_when_validation_gets_no_better(data):
    config = dataclasses.replace(CONFIG, patience=2, eval_interval=1, learning_rate=1e-30, min_learning_rate=0.0)
    states = run(config, data, 3)
    assert [bool(train.is_active(config, s)) for s in states] == [True, True, True, False]
    assert int(states[-1].best_step) == 1


@pytest.mark.slow
def test_loss_that_is_not_finite_stops_at_its_step(data):
    state = init_state(MODEL, CONFIG, SEED, GENERATION)
    poisoned = state.replace(params=jax.tree.map(lambda x: x * jnp.nan, state.params))
    last = run(CONFIG, data, 1, poisoned)[-1]
    assert not last.finite
    assert int(last.step) == 1
    assert not train.is_active(CONFIG, last)


def test_learning_rate_is_optaxs_warm_up_and_cosine():
    config = TrainConfig(max_steps=500, warmup_steps=50, learning_rate=1e-3, min_learning_rate=1e-4)
    steps = jnp.arange(600)
    ours = jax.vmap(lambda s: train.learning_rate(config, s))(steps)
    reference = optax.warmup_cosine_decay_schedule(1e-3 / 50, 1e-3, 50, 500, 1e-4)
    np.testing.assert_allclose(ours[50:], jax.vmap(reference)(steps)[50:], rtol=1e-4)
    np.testing.assert_allclose(ours[:50], np.arange(1, 51) / 50 * 1e-3, rtol=1e-5)


@pytest.mark.slow
def test_only_matrices_decay(data):
    config = dataclasses.replace(CONFIG, weight_decay=0.5, max_steps=1, eval_interval=1, warmup_steps=0)
    plain = run(dataclasses.replace(config, weight_decay=0.0), data, 1)[-1].params
    decayed = run(config, data, 1)[-1].params
    np.testing.assert_array_equal(plain["norm"]["layer"]["scale"], decayed["norm"]["layer"]["scale"])
    assert np.abs(plain["embedding"] - decayed["embedding"]).max() > 1e-5


@pytest.mark.slow
def test_gradients_are_clipped(data):
    config = dataclasses.replace(CONFIG, grad_clip=1e-3)
    state = init_state(MODEL, config, SEED, GENERATION)
    grads = jax.tree.map(jnp.ones_like, state.params)
    clip = optax.clip_by_global_norm(config.grad_clip)
    clipped, _ = jax.jit(clip.update)(grads, clip.init(state.params))
    _, opt_state = jax.jit(train.optimizer(config).update)(grads, state.opt_state, state.params)
    first_moment = optax.tree_utils.tree_get(opt_state, "mu")
    jax.tree.map(lambda m, g: np.testing.assert_allclose(m, 0.1 * g, rtol=1e-4), first_moment, clipped)


@pytest.mark.slow
def test_dropout_changes_training_but_not_evaluation(data):
    model = dataclasses.replace(MODEL, dropout=0.3)
    a, b = (run(CONFIG, data, 1, model=m)[-1] for m in (MODEL, model))
    assert float(a.loss) != float(b.loss)
    read = jax.jit(forward, static_argnums=0)
    logits = read(model, a.params, jnp.zeros((1, 4), jnp.int32))
    np.testing.assert_array_equal(logits, read(MODEL, a.params, jnp.zeros((1, 4), jnp.int32)))


NUMBERS = {
    "learning_rate": 3e-3,
    "min_learning_rate": 1e-3,
    "weight_decay": 0.5,
    "grad_clip": 0.2,
    "beta1": 0.7,
    "beta2": 0.9,
    "dropout": 0.2,
}


@pytest.mark.slow
def test_a_run_has_its_own_numbers(data):
    """One program of all values against a program of each; and none of the numbers is without effect."""
    model = dataclasses.replace(MODEL, dropout=0.1)
    config = dataclasses.replace(CONFIG, max_steps=20, eval_interval=20)
    usual = {name: getattr(config, name) for name in NUMBERS if name != "dropout"} | {"dropout": model.dropout}

    @jax.jit
    def trained(numbers):
        own = {name: numbers[name] for name in usual if name != "dropout"}
        treatment = Treatment(training=own, kept=1 - numbers["dropout"])
        start = train.init_state(model, config, SEED, GENERATION)
        return train.train_chunk(model, config, start, data, SEED, GENERATION, treatment=treatment)

    def own(**changed):
        return trained({name: jnp.float32(value) for name, value in (usual | changed).items()})

    for numbers in ({}, NUMBERS):
        given: dict[str, Any] = {name: value for name, value in numbers.items() if name != "dropout"}
        its_model = dataclasses.replace(model, dropout=numbers.get("dropout", model.dropout))
        alone = run(dataclasses.replace(config, **given), data, 1, model=its_model)[-1]
        np.testing.assert_allclose(own(**numbers).train_loss, alone.train_loss, rtol=1e-4)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), own(**numbers).params, alone.params)
    for name, value in NUMBERS.items():
        assert abs(float(own(**{name: value}).train_loss - own().train_loss)) > 1e-5, name


@pytest.mark.slow
def test_a_run_may_drop_nothing_where_others_drop(data):
    config = dataclasses.replace(CONFIG, max_steps=20, eval_interval=20)
    model = dataclasses.replace(MODEL, dropout=0.1)
    start = init_state(model, config, SEED, GENERATION)
    treatment = Treatment(kept=jnp.float32(1))
    one = jax.jit(lambda s: train.train_chunk(model, config, s, data, SEED, GENERATION, treatment=treatment))(start)
    np.testing.assert_allclose(one.train_loss, run(config, data, 1)[-1].train_loss, rtol=1e-4)
