"""Training of one model from scratch: the state, one step, and a chunk of steps that ends in an evaluation.

This module sees one run; `ensemble.py` maps it over many.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import struct

from loop.config import TrainConfig
from loop.streams import Purpose, key
from loop.training.data import TrainData, target_weights, windows
from loop.training.treatment import UNTREATED, Treatment, loss_weights
from model.config import ModelConfig
from model.models import model_of, negative_log_likelihood


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the arrays of a step lie if several devices share a run; by default on one device."""

    batch: Callable[[jax.Array], jax.Array] = lambda batch: batch  # split over the devices
    params: Callable[[dict], dict] = lambda params: params  # gathered from the devices for use


ALONE = Placement()


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


def learning_rate(config: TrainConfig, step: jax.Array) -> jax.Array:
    """Linear warm-up to the peak, then a cosine down to the minimum at max_steps."""
    warmup = config.learning_rate * (step + 1) / max(config.warmup_steps, 1)
    progress = (step - config.warmup_steps) / max(config.max_steps - config.warmup_steps, 1)
    fall = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1)))
    cosine = config.min_learning_rate + (config.learning_rate - config.min_learning_rate) * fall
    return jnp.where(step < config.warmup_steps, warmup, cosine)


def optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW behind a clip of the global gradient norm; only matrices decay."""
    return optax.chain(
        optax.clip_by_global_norm(config.grad_clip),
        optax.adamw(
            lambda step: learning_rate(config, step),
            b1=config.beta1,
            b2=config.beta2,
            weight_decay=config.weight_decay,
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


Weigh = Callable[[jax.Array], jax.Array]  # nats_BT -> nats_BT, as they enter the mean


def batch_loss(
    model: ModelConfig, params: dict, batch: jax.Array, dropout_key: jax.Array | None, weigh: Weigh | None = None
) -> jax.Array:
    """Mean nats per symbol of windows, int32 [B, T + 1]; a dropout key means training."""
    logits_BTV = model_of(model).forward(model, params, batch[:, :-1], dropout_key)
    nll_BT = negative_log_likelihood(logits_BTV, batch[:, 1:])
    return (nll_BT if weigh is None else weigh(nll_BT)).mean()


def train_step(
    model: ModelConfig,
    config: TrainConfig,
    state: TrainState,
    batch: jax.Array,
    dropout_key: jax.Array | None,
    place: Placement = ALONE,
    weigh: Weigh | None = None,
) -> tuple[TrainState, jax.Array]:
    """One step of AdamW on a batch of windows, int32 [B, T + 1]; returns the batch's loss as well."""
    batch = place.batch(batch)
    loss, grads = jax.value_and_grad(lambda p: batch_loss(model, place.params(p), batch, dropout_key, weigh))(
        state.params
    )
    updates, opt_state = optimizer(config).update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return state.replace(params=params, opt_state=opt_state, step=state.step + 1), loss


def evaluate(
    model: ModelConfig,
    config: TrainConfig,
    params: dict,
    data: TrainData,
    eval_key: jax.Array,
    split: str,
    place: Placement = ALONE,
) -> jax.Array:
    """Mean loss on eval_batches batches; the same windows at every evaluation of a generation."""
    shape_BT = (config.batch_size, model.context_length)

    def one(i: jax.Array) -> jax.Array:
        batch = windows(data, jax.random.fold_in(eval_key, i), shape_BT, split, config.windows == "aligned")
        return batch_loss(model, params, place.batch(batch), None)

    return jax.lax.map(one, jnp.arange(config.eval_batches)).mean()


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
    adam = optax.chain(
        optax.clip_by_global_norm(config.grad_clip),
        optax.adam(treatment.extra_rate, b1=config.beta1, b2=config.beta2),
    )

    def step(i: jax.Array, carry: tuple[dict, optax.OptState]) -> tuple[dict, optax.OptState]:
        copy, moments = carry
        shape_BT = (config.batch_size, model.context_length)
        batch = windows(data, jax.random.fold_in(batch_key, i), shape_BT, "train", config.windows == "aligned")
        grads = jax.grad(lambda p: batch_loss(model, place.params(p), place.batch(batch), None))(copy)
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
        what = data, step_key, shape_BT, "train", config.windows == "aligned"
        batch, weight_BT = windows(*what), target_weights(*what)
        weigh = loss_weights(treatment, weight_BT if weight_BT is None else place.batch(weight_BT))
        drop = jax.random.fold_in(dropout_key, state.step) if model.dropout else None
        state, loss = train_step(model, config, state, batch, drop, place, weigh)
        return state.replace(finite=jnp.isfinite(loss)), total + loss

    def unfinished(carry: tuple[TrainState, jax.Array]) -> jax.Array:
        return carry[0].finite & (carry[0].step < last)

    before = state.step
    state, total = jax.lax.while_loop(unfinished, step, (state, jnp.float32(0)))
    state = state.replace(loss=total / jnp.maximum(state.step - before, 1))

    params = place.params(state.params)
    train_loss = evaluate(model, config, params, data, eval_key, "train", place)
    validation_loss = evaluate(model, config, params, data, eval_key, "validation", place)
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
