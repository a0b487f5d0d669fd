"""Training of one model from scratch: the state, one step, and a chunk of steps that ends in an evaluation.

This module sees one run; `ensemble.py` maps it over many.
"""

import jax
import jax.numpy as jnp
import optax
from flax import struct

from loop.config import TrainConfig
from loop.streams import Purpose, key
from loop.training.data import TrainData, target_weights, windows
from loop.training.gradients import ALONE, Placement, batch_loss, loss_and_gradients
from loop.training.treatment import UNTREATED, Treatment
from model.config import ModelConfig
from model.models import model_of


class TrainState(struct.PyTreeNode):
    """All that training carries on, and the best parameters so far."""

    params: dict
    opt_state: optax.OptState
    step: jax.Array  # int32: steps taken
    loss: jax.Array  # float32: mean of the last chunk, nats per symbol
    finite: jax.Array  # bool: no loss has been infinite or NaN
    best_params: dict  # of the lowest validation loss; the ones that are sampled
    best_step: jax.Array  # int32
    train_loss: jax.Array  # float32: of the best parameters, without dropout, nats per symbol
    validation_loss: jax.Array  # float32: likewise
    stale: jax.Array  # int32: evaluations since the best one
    newest_train_loss: jax.Array  # float32: of the newest evaluation, for the training curve
    newest_validation_loss: jax.Array  # float32: likewise


def _number(config: TrainConfig, treatment: Treatment, name: str) -> float | jax.Array:
    """A field of the configuration, or what the run has in its place."""
    return (treatment.training or {}).get(name, getattr(config, name))


def learning_rate(config: TrainConfig, step: jax.Array, treatment: Treatment = UNTREATED) -> jax.Array:
    """Linear warm-up to the peak, then a cosine down to the minimum at max_steps."""
    peak, least = (_number(config, treatment, name) for name in ("learning_rate", "min_learning_rate"))
    warmup = peak * (step + 1) / max(config.warmup_steps, 1)
    progress = (step - config.warmup_steps) / max(config.max_steps - config.warmup_steps, 1)
    fall = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1)))
    cosine = least + (peak - least) * fall
    return jnp.where(step < config.warmup_steps, warmup, cosine)


def optimizer(config: TrainConfig, treatment: Treatment = UNTREATED) -> optax.GradientTransformation:
    """AdamW behind a clip of the global gradient norm; only matrices decay."""
    own = {name: _number(config, treatment, name) for name in ("grad_clip", "beta1", "beta2", "weight_decay")}
    return optax.chain(
        optax.clip_by_global_norm(own["grad_clip"]),
        optax.adamw(
            lambda step: learning_rate(config, step, treatment),
            b1=own["beta1"],
            b2=own["beta2"],
            weight_decay=own["weight_decay"],
            mask=lambda params: jax.tree.map(lambda x: x.ndim >= 2, params),
        ),
    )


def init_state(model: ModelConfig, config: TrainConfig, seed: jax.Array, generation: jax.Array) -> TrainState:
    """Fresh weights and optimiser state."""
    params = model_of(model).init_params(model, key(seed, generation, Purpose.INIT))
    infinity = jnp.float32(jnp.inf)
    return TrainState(
        params=params,
        opt_state=optimizer(config).init(params),
        step=jnp.int32(0),
        loss=infinity,
        finite=jnp.bool_(True),
        best_params=jax.tree.map(jnp.copy, params),
        best_step=jnp.int32(0),
        train_loss=infinity,
        validation_loss=infinity,
        stale=jnp.int32(0),
        newest_train_loss=infinity,
        newest_validation_loss=infinity,
    )


def is_active(config: TrainConfig, state: TrainState) -> jax.Array:
    """Whether training goes on: steps are left, patience is left, the loss is finite."""
    patient = (state.stale < config.patience) if config.patience else True
    return state.finite & (state.step < config.max_steps) & patient


def train_step(
    model: ModelConfig,
    config: TrainConfig,
    state: TrainState,
    batch: jax.Array,
    dropout_key: jax.Array | None,
    place: Placement = ALONE,
    treatment: Treatment = UNTREATED,
    weight_BT: jax.Array | None = None,
) -> tuple[TrainState, jax.Array]:
    """One step of AdamW on a batch of windows, int32 [B, T + 1]; returns the batch's loss as well."""
    loss, grads = loss_and_gradients(model, state.params, batch, dropout_key, place, treatment, weight_BT)
    updates, opt_state = optimizer(config, treatment).update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return state.replace(params=params, opt_state=opt_state, step=state.step + 1), loss


def evaluate(
    model: ModelConfig,
    config: TrainConfig,
    params: dict,
    data: TrainData,
    eval_key: jax.Array,
    place: Placement = ALONE,
) -> tuple[jax.Array, jax.Array]:
    """Mean losses on eval_batches batches to train on and as many to validate with; the same windows at every
    evaluation of a generation."""
    n = config.eval_batches
    shape_BT = (config.batch_size, model.context_length)

    def one(i: jax.Array) -> jax.Array:
        batch_key = jax.random.fold_in(eval_key, i % n)
        batch = windows(data, batch_key, shape_BT, config.windows == "aligned", validation=i >= n)
        return batch_loss(model, params, batch, place)

    loss = jax.lax.map(one, jnp.arange(2 * n))  # as one loop: the model is compiled once for both
    return loss[:n].mean(), loss[n:].mean()


def copy_of_itself(
    model: ModelConfig,
    config: TrainConfig,
    params: dict,
    data: TrainData,
    seed: jax.Array,
    generation: jax.Array,
    place: Placement,
    treatment: Treatment,
) -> dict:
    """θ_copy: a copy takes steps of Adam on `data`, the model's own samples; see loop/remedies/copies.py."""
    assert treatment.extra_steps is not None
    batch_key = key(seed, generation, Purpose.COPY)
    own = {name: _number(config, treatment, name) for name in ("grad_clip", "beta1", "beta2")}
    adam = optax.chain(
        optax.clip_by_global_norm(own["grad_clip"]),
        optax.adam(treatment.extra_rate, b1=own["beta1"], b2=own["beta2"]),
    )

    def step(i: jax.Array, carry: tuple[dict, optax.OptState]) -> tuple[dict, optax.OptState]:
        copy, moments = carry
        shape_BT = (config.batch_size, model.context_length)
        batch = windows(data, jax.random.fold_in(batch_key, i), shape_BT, config.windows == "aligned")
        _, grads = loss_and_gradients(model, copy, batch, place=place)
        updates, moments = adam.update(grads, moments)
        return optax.apply_updates(copy, updates), moments

    return jax.lax.fori_loop(0, treatment.extra_steps, step, (params, adam.init(params)))[0]


def train_chunk(
    model: ModelConfig,
    config: TrainConfig,
    state: TrainState,
    data: TrainData,
    seed: jax.Array,
    generation: jax.Array,
    place: Placement = ALONE,
    treatment: Treatment = UNTREATED,
) -> TrainState:
    """Up to eval_interval steps, then an evaluation that may name new best parameters.

    Stops within the chunk at max_steps or at a loss that is not finite. A remedy changes the steps alone: evaluations
    are of the plain loss, by which models are compared.
    """
    shape_BT = (config.batch_size, model.context_length)
    batch_key = key(seed, generation, Purpose.BATCH)
    dropout_key = key(seed, generation, Purpose.DROPOUT)
    eval_key = key(seed, generation, Purpose.EVALUATION)
    last = jnp.minimum(state.step + config.eval_interval, config.max_steps)

    def step(carry: tuple[TrainState, jax.Array]) -> tuple[TrainState, jax.Array]:
        state, total = carry
        step_key = jax.random.fold_in(batch_key, state.step)
        what = data, step_key, shape_BT, config.windows == "aligned"
        batch, weight_BT = windows(*what), target_weights(*what)
        drop = jax.random.fold_in(dropout_key, state.step) if model.dropout else None
        state, loss = train_step(model, config, state, batch, drop, place, treatment, weight_BT)
        return state.replace(finite=jnp.isfinite(loss)), total + loss

    def unfinished(carry: tuple[TrainState, jax.Array]) -> jax.Array:
        return carry[0].finite & (carry[0].step < last)

    before = state.step
    state, total = jax.lax.while_loop(unfinished, step, (state, jnp.float32(0)))
    state = state.replace(loss=total / jnp.maximum(state.step - before, 1))

    params = place.params(state.params)
    train_loss, validation_loss = evaluate(model, config, params, data, eval_key, place)
    state = state.replace(finite=state.finite & jnp.isfinite(train_loss) & jnp.isfinite(validation_loss))
    better = state.finite & (validation_loss < state.validation_loss)

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(better, new, old)

    return state.replace(
        best_params=jax.tree.map(choose, state.params, state.best_params),
        best_step=choose(state.step, state.best_step),
        train_loss=choose(train_loss, state.train_loss),
        validation_loss=choose(validation_loss, state.validation_loss),
        stale=choose(jnp.int32(0), state.stale + 1),
        newest_train_loss=train_loss,
        newest_validation_loss=validation_loss,
    )
