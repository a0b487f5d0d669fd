"""Numbers that differ from run to run, of remedies and of settings, so that all runs stay one program.

Where no run has a remedy of a kind, and all settings agree in a number, None is in its place: the program is the one
without.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from loop.config import Config
from loop.numbers import DROPOUT, SAMPLING, TRAINING, differ, number
from loop.remedies import REMEDIES, acting, remedies_of
from loop.remedies.remedy import LOGITS, PARAMETERS, Combines, Edits, Reshapes, Samples


class Treatment(struct.PyTreeNode):
    """Of one run scalars; of all runs arrays whose first axis is the run. None of it is there where no remedy is tried
    and all settings agree."""

    loss: dict[str, tuple[jax.Array, jax.Array]] | None = None  # name of a remedy -> (bool: is it the run's, gamma)
    sampling: tuple[jax.Array, jax.Array | None] | None = None  # temperature and, if that differs, top-p, float32
    extra_steps: jax.Array | None = None  # int32, of the copy that learns from its own samples; 0: there is none
    extra_rate: jax.Array | None = None  # float32: its learning rate
    away: jax.Array | None = None  # float32: how far the parameters move away from the copy's
    guidance: jax.Array | None = None  # float32: how far the logits do
    editing: tuple[jax.Array, jax.Array] | None = None  # threshold, float32, and number of candidates, int32
    training: dict[str, jax.Array] | None = None  # float32, by fields of TrainConfig, of settings that differ in them
    kept: jax.Array | None = None  # float32, 1 - model.dropout, likewise


UNTREATED = Treatment()


def treatments(configs: Sequence[Config], spellings: Sequence[str]) -> Treatment:
    """Of runs with these settings and remedies, NumPy arrays with one entry per run."""
    chains = [remedies_of(spelling) for spelling in spellings]
    by_place = {
        place: [next(iter(acting(chain, place)), None) for chain in chains]
        for place in ("loss", "sample", "combine", "edit")
    }
    return Treatment(
        **_loss(by_place["loss"]),
        **_sampling(configs, by_place["sample"]),
        **_copy(by_place["combine"]),
        **_editing(by_place["edit"]),
        **_training(configs),
    )


def _loss(remedies: Sequence[Reshapes | None]) -> dict:
    loss = {}
    for name, cls in REMEDIES.items():
        own = [r.gamma if r is not None and type(r) is cls else None for r in remedies]
        if used := [gamma for gamma in own if gamma is not None]:
            gammas = [used[0] if gamma is None else gamma for gamma in own]  # harmless where it is off
            loss[name] = (np.array([gamma is not None for gamma in own]), np.array(gammas, np.float32))
    return {"loss": loss or None}


def _sampling(configs: Sequence[Config], remedies: Sequence[Samples | None]) -> dict:
    if not any(remedies) and not any(differ(configs, field) for field in SAMPLING):
        return {}
    samples = [r or config.sample for r, config in zip(remedies, configs, strict=True)]
    top_p = np.array([s.top_p for s in samples], np.float32)
    own_top_p = len(set(top_p.tolist()) | {np.float32(config.sample.top_p) for config in configs}) > 1
    return {"sampling": (np.array([s.temperature for s in samples], np.float32), top_p if own_top_p else None)}


def _training(configs: Sequence[Config]) -> dict:
    training = {
        field.removeprefix("train."): np.array([number(config, field) for config in configs], np.float32)
        for field in TRAINING
        if differ(configs, field)
    }
    found: dict = {"training": training} if training else {}
    if differ(configs, DROPOUT):
        found["kept"] = np.array([1 - number(config, DROPOUT) for config in configs], np.float32)
    return found


def _copy(remedies: Sequence[Combines | None]) -> dict:
    if not any(remedies):
        return {}
    return {
        "extra_steps": np.array([r.steps if r else 0 for r in remedies], np.int32),
        "extra_rate": np.array([r.learning_rate if r else 0 for r in remedies], np.float32),
        **_weights("away", PARAMETERS, remedies),
        **_weights("guidance", LOGITS, remedies),
    }


def _weights(name: str, what: str, remedies: Sequence[Combines | None]) -> dict:
    """How far runs go away from their copies in parameters, or in logits."""
    if not any(r and r.combines == what for r in remedies):
        return {}
    return {name: np.array([r.weight if r and r.combines == what else 0 for r in remedies], np.float32)}


def _editing(remedies: Sequence[Edits | None]) -> dict:
    if not any(remedies):
        return {}
    return {
        "editing": (
            np.array([r.threshold if r else 1 for r in remedies], np.float32),
            np.array([r.top_k if r else 1 for r in remedies], np.int32),
        )
    }


def loss_weights(treatment: Treatment, weight_BT: jax.Array | None) -> Callable[[jax.Array], jax.Array] | None:
    """nats_BT -> nats_BT as they enter the mean; None where that is as they are.

    Args:
      weight_BT: of the example that each symbol is of; None: all are 1.
    """
    if treatment.loss is None and weight_BT is None:
        return None

    def weigh(nll_BT: jax.Array) -> jax.Array:
        result_BT = nll_BT if weight_BT is None else nll_BT * weight_BT
        for name, (on, gamma) in (treatment.loss or {}).items():
            factor_BT = REMEDIES[name].symbol_weight(jnp.exp(-nll_BT), gamma)  # type: ignore[attr-defined]
            result_BT = result_BT * jnp.where(on, factor_BT, 1.0)
        return result_BT

    return weigh
