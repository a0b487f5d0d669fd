"""The loss of a batch and its gradients, of the whole batch at once or of one part after another.

Parts are of equal size, and the mean over a batch is that of its parts: loss, weights of examples and random numbers
of dropout are the same, and the result differs in rounding alone. What a backward pass needs is held of one part.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from loop.training.treatment import UNTREATED, Treatment, loss_weights
from model.config import ModelConfig
from model.dropout import DropoutKey
from model.models import model_of, negative_log_likelihood


@dataclasses.dataclass(frozen=True)
class Placement:
    """How a batch is worked through, and where its arrays lie; by default at once, and on one device."""

    parts: int = 1  # of a batch, one after another (loop/training/micro_batch.py); they divide it
    batch: Callable[[jax.Array], jax.Array] = lambda batch: batch  # split over the devices that share a run
    params: Callable[[dict], dict] = lambda params: params  # gathered from these devices for use

    def cut(self, x: jax.Array) -> jax.Array:
        """[batch, ...] -> [parts, batch / parts, ...]."""
        return x.reshape(self.parts, -1, *x.shape[1:])


ALONE = Placement()


def mean_loss(
    model: ModelConfig,
    params: dict,
    batch: jax.Array,
    dropout_key: DropoutKey | None = None,
    weigh: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """Mean nats per symbol of windows, int32 [B, T + 1]; a dropout key means training.

    Args:
      weigh: nats_BT -> nats_BT, as they enter the mean.
    """
    logits_BTV = model_of(model).forward(model, params, batch[:, :-1], dropout_key)
    nll_BT = negative_log_likelihood(logits_BTV, batch[:, 1:])
    return (nll_BT if weigh is None else weigh(nll_BT)).mean()


def batch_loss(model: ModelConfig, params: dict, batch: jax.Array, place: Placement = ALONE) -> jax.Array:
    """Mean nats per symbol of a batch of windows, int32 [B, T + 1], without dropout and weights."""
    if place.parts == 1:
        return mean_loss(model, params, place.batch(batch))
    return jax.lax.map(lambda part: mean_loss(model, params, place.batch(part)), place.cut(batch)).mean()


def loss_and_gradients(
    model: ModelConfig,
    params: dict,
    batch: jax.Array,
    dropout_key: jax.Array | None = None,
    place: Placement = ALONE,
    treatment: Treatment = UNTREATED,
    weight_BT: jax.Array | None = None,
) -> tuple[jax.Array, dict]:
    """The mean loss of a batch of windows, int32 [B, T + 1], as remedies change it, and its gradients.

    Args:
      weight_BT: of every target in the loss; None: all are 1.
    """

    def of_part(part: jax.Array, weight: jax.Array | None, first: jax.Array | int) -> tuple[jax.Array, dict]:
        weigh = loss_weights(treatment, None if weight is None else place.batch(weight))
        drop = None if dropout_key is None else DropoutKey(dropout_key, first, treatment.kept)
        return jax.value_and_grad(lambda p: mean_loss(model, place.params(p), place.batch(part), drop, weigh))(params)

    if place.parts == 1:
        return of_part(batch, weight_BT, 0)

    def add(total: tuple, part: tuple) -> tuple[tuple, None]:
        return jax.tree.map(jnp.add, total, of_part(*part)), None

    firsts = jnp.arange(place.parts) * (len(batch) // place.parts)
    nothing = jnp.float32(0), jax.tree.map(jnp.zeros_like, params)
    total, _ = jax.lax.scan(add, nothing, (*jax.tree.map(place.cut, (batch, weight_BT)), firsts))
    return jax.tree.map(lambda x: x / place.parts, total)
