"""What remedies do with a trained model on the devices, as functions of one run: programs.py makes them of all runs.

Each works only where it is asked to (`active`), and a device of those that share a run on its part of what is given.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from loop.config import Config
from loop.remedies import needing, remedies_of
from loop.remedies.remedy import WRITTEN
from loop.streams import Purpose, key
from loop.training import train
from loop.training.data import TrainData
from loop.training.treatment import Treatment
from model.editing import edit_expressions
from model.guidance import Guided
from model.likelihood import expression_nll
from model.models import Model
from model.sampling import filter_logits


def _part(data: int, x: jax.Array) -> jax.Array:
    """This device's rows of an array: an equal part of them for each of `data` devices."""
    part = x.shape[0] // data
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index("data") * part, part)


def score(config: Config, data: int) -> Callable:
    """-log M(e) of samples, at temperature 1 and as they are drawn; zeros where no remedy needs that."""
    written = any(needing(remedies_of(cell.remedy), WRITTEN) for cell in config.networks())

    def score(
        params: dict, ids: jax.Array, length: jax.Array, active: jax.Array, treatment: Treatment
    ) -> tuple[jax.Array, jax.Array]:
        mine, lengths = _part(data, ids), _part(data, length)
        nothing = jnp.zeros(lengths.shape)

        def nats() -> tuple[jax.Array, jax.Array]:
            plain = expression_nll(config.model, params, mine, lengths)
            return plain, _drawn_nll(config, params, mine, lengths, treatment) if written else nothing

        return jax.lax.cond(active, nats, lambda: (nothing, nothing))

    return score


def score_guided(config: Config, data: int, pair: Model) -> Callable:
    """-log M(e) of samples as a pair of models draws them."""

    def score(params: Guided, ids: jax.Array, length: jax.Array, active: jax.Array, treatment: Treatment) -> jax.Array:
        mine, lengths = _part(data, ids), _part(data, length)
        return jax.lax.cond(
            active,
            lambda: _drawn_nll(config, params, mine, lengths, treatment, pair),
            lambda: jnp.zeros(lengths.shape),
        )

    return score


def _drawn_nll(
    config: Config, params: Any, ids: jax.Array, length: jax.Array, treatment: Treatment, net: Model | None = None
) -> jax.Array:
    def sharpen(logits: jax.Array) -> jax.Array:
        return filter_logits(logits, config.sample, treatment.sampling)

    return expression_nll(config.model, params, ids, length, sharpen, net)


def copy(config: Config, place: train.Placement) -> Callable:
    """The parameters that are sampled, moved away from those of a copy that has learnt from the model's own samples,
    and the copy's, if some cell is guided by them; see loop/remedies/copies.py."""

    def copy(
        params: dict, data: TrainData, seed: jax.Array, generation: jax.Array, active: jax.Array, treatment: Treatment
    ) -> tuple[dict, dict | None]:
        def learn() -> tuple[dict, dict | None]:
            learnt = train.copy_of_itself(config.model, config.train, params, data, seed, generation, place, treatment)
            moved = params
            if treatment.away is not None:
                moved = jax.tree.map(lambda x, y: x + treatment.away * (x - y), params, learnt)
            return moved, None if treatment.guidance is None else learnt

        return jax.lax.cond(active, learn, lambda: (params, None if treatment.guidance is None else params))

    return copy


def edit(config: Config, data: int) -> Callable:
    """The first of the run's expressions as its model edits them, uint8 [examples, context_length]."""

    def edit(
        params: dict,
        ids: jax.Array,
        length: jax.Array,
        seed: jax.Array,
        generation: jax.Array,
        active: jax.Array,
        treatment: Treatment,
    ) -> jax.Array:
        assert treatment.editing is not None
        threshold, top_k = treatment.editing
        stream = key(seed, generation, Purpose.EDIT)
        mine, lengths, number = _part(data, ids), _part(data, length), _part(data, jnp.arange(ids.shape[0]))
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(stream, number)
        return jax.lax.cond(
            active,
            lambda: edit_expressions(config.model, params, mine, lengths, keys, threshold, top_k),
            lambda: mine[:, 1:],
        )

    return edit
