"""The programs that run on the devices: start, train a chunk, sample, judge; each of all runs, compiled once.

Modules of the model and of training see one run. Here a function of one run becomes a function of all, in three steps:

    at_a_time    one run -> as many at once as a device takes side by side (`at_once`)
    over_groups  -> all runs of a device, group after group; `in_place` where the result replaces the first argument
    over_runs    -> all devices, each with its own runs
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.stages import Wrapped

from loop.blocks import held_out_expressions
from loop.config import Config
from loop.remedies import guides
from loop.self_likelihood import num_judged
from loop.streams import key
from loop.training import multihost, remedy_programs, train
from loop.training.data import TrainData
from loop.training.mesh import state_sharding
from loop.training.treatment import Treatment
from model.guidance import guided
from model.likelihood import expression_nll, lay_out_expressions
from model.models import Model, model_of
from model.sampling import sampler

RUN, WHOLE = PartitionSpec("run"), PartitionSpec()
_BOTH = {"run", "data"}


@dataclasses.dataclass(frozen=True)
class Layout:
    """How runs lie over devices."""

    mesh: Mesh  # of two axes, `run` and `data`
    per_slot: int  # rows of every place along `run`, padding included
    at_once: int  # of them, side by side

    @property
    def num_rows(self) -> int:
        """Rows of every array, padding included."""
        return self.mesh.shape["run"] * self.per_slot

    @property
    def data(self) -> int:
        """Devices that share a run."""
        return self.mesh.shape["data"]


class Programs(NamedTuple):
    """Compiled functions of arrays whose first axis is the run."""

    shapes: train.TrainState  # of the state, all rows
    start: Wrapped  # seeds, generations, active -> state
    chunk: Wrapped  # state (consumed), data, seeds, generations, treatment -> state
    facts: Wrapped  # state -> (active, step, loss, finite, newest_train_loss, newest_validation_loss)
    sample: Wrapped  # params, seeds, generations, active, treatment, purposes of the stream -> ids
    nll: Wrapped  # params -> -log M(e) of the held-out expressions
    samples_nll: Wrapped  # params, ids, lengths -> -log M(e) of a fixed number of samples
    pick: Wrapped  # params, rows -> the params of those rows
    sample_guided: Wrapped  # likewise of `Guided` params: two models as one
    score: Wrapped  # params, ids, lengths, active, treatment -> -log M(e) at temperature 1 and as it is sampled
    score_guided: Wrapped  # Guided params, ids, lengths, active, treatment -> -log M(e) as it is sampled
    copy: Wrapped  # params, data, seeds, generations, active, treatment -> params, moved away, and those of copies
    edit: Wrapped  # params, ids, lengths, seeds, generations, active, treatment -> ids of the edited expressions
    over_run: Wrapped  # array -> the same, not split along `data`


def at_a_time(one_run: Callable, at_once: int) -> Callable:
    """A function of one run, of `at_once` runs side by side."""
    if at_once > 1:
        return jax.vmap(one_run, axis_name="member")
    # Not a vmap over one: `cond` would work through both of its branches.
    return lambda *args: jax.tree.map(lambda x: x[None], one_run(*jax.tree.map(lambda x: x[0], args)))


def over_groups(one_run: Callable, layout: Layout) -> Callable:
    """A function of one run, of all runs of a device."""
    several = at_a_time(one_run, layout.at_once)

    def on_device(*args: Any) -> Any:
        groups = jax.tree.map(lambda x: x.reshape(-1, layout.at_once, *x.shape[1:]), args)
        results = jax.lax.map(lambda a: several(*a), groups)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), results)

    return on_device


def in_place(one_run: Callable, layout: Layout) -> Callable:
    """Likewise, where the result takes the place of the first argument: it is never held twice."""
    at_once, several = layout.at_once, at_a_time(one_run, layout.at_once)

    def on_device(state: Any, *args: Any) -> Any:
        def work(i: jax.Array, state: Any) -> Any:
            mine = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * at_once, at_once), (state, *args))
            return jax.tree.map(
                lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * at_once, 0), state, several(*mine)
            )

        return jax.lax.fori_loop(0, layout.per_slot // at_once, work, state)

    return on_device


def over_runs(on_device: Callable, layout: Layout, axes: set[str], out: PartitionSpec = RUN) -> Callable:
    """Spreads a function of a device's runs over the mesh; of `axes`, it sees its own part only."""
    return jax.shard_map(on_device, mesh=layout.mesh, in_specs=RUN, out_specs=out, axis_names=axes, check_vma=False)


def _start(config: Config) -> Callable:
    def start(seed: jax.Array, generation: jax.Array, active: jax.Array) -> train.TrainState:
        return train.init_state(config.model, config.train, seed, generation).replace(finite=active)

    return start


def _chunk(config: Config, place: train.Placement) -> Callable:
    def chunk(
        state: train.TrainState, data: TrainData, seed: jax.Array, generation: jax.Array, treatment: Treatment
    ) -> train.TrainState:
        return jax.lax.cond(
            train.is_active(config.train, state),
            lambda s: train.train_chunk(config.model, config.train, s, data, seed, generation, place, treatment),
            lambda s: s,
            state,
        )

    return chunk


def _sample(config: Config, layout: Layout, net: Model | None = None) -> Callable:
    """Samples are independent of each other: the devices that share a run write a part each."""
    part = -(-config.loop.num_samples // layout.data)
    sample_part = sampler(config.model, config.sample, part, "member" if layout.at_once > 1 else None, net)

    def sample(
        params: Any,
        seed: jax.Array,
        generation: jax.Array,
        active: jax.Array,
        treatment: Treatment,
        purpose: jax.Array,
    ) -> jax.Array:
        stream = key(seed, generation, purpose)
        return jax.lax.cond(
            active,
            lambda: sample_part(params, stream, jax.lax.axis_index("data") * part, treatment.sampling),
            lambda: jnp.zeros((part, config.model.context_length), jnp.uint8),
        )

    return sample


def _nll(config: Config, layout: Layout) -> Callable:
    """Held-out expressions are independent of each other as well."""
    judged = -(-config.loop.num_held_out // layout.data)
    expressions = held_out_expressions(config)
    expressions += expressions[:1] * (judged * layout.data - len(expressions))
    held_out = lay_out_expressions(expressions, config.model.context_length)

    def nll(params: dict) -> jax.Array:
        begin = jax.lax.axis_index("data") * judged
        ids, lengths = (jax.lax.dynamic_slice_in_dim(jnp.asarray(x), begin, judged) for x in held_out)
        return expression_nll(config.model, params, ids, lengths)

    return nll


def _samples_nll(config: Config, layout: Layout) -> Callable:
    """Likewise of samples, uint8 [N, T + 1] with their lengths, where N is `num_to_judge`."""
    judged = num_to_judge(config, layout) // layout.data

    def nll(params: dict, ids: jax.Array, length_N: jax.Array) -> jax.Array:
        begin = jax.lax.axis_index("data") * judged
        mine, lengths = (jax.lax.dynamic_slice_in_dim(x, begin, judged) for x in (ids, length_N))
        return expression_nll(config.model, params, mine, lengths)

    return nll


def num_to_judge(config: Config, layout: Layout) -> int:
    """The samples of a cell that are judged, padded so that the devices of a run judge as many each."""
    return -(-num_judged(config.loop.num_samples) // layout.data) * layout.data


def _placement(layout: Layout) -> train.Placement:
    """Where the arrays of a step lie if devices share a run."""
    if layout.data == 1:
        return train.ALONE
    return train.Placement(
        batch=lambda batch: jax.lax.with_sharding_constraint(batch, PartitionSpec("data")),
        params=lambda params: jax.lax.with_sharding_constraint(params, WHOLE),
    )


def build(config: Config, layout: Layout, arguments: Sequence[jax.Array]) -> Programs:
    """The programs of a sweep; `arguments` are like those of `start`, for the shapes of the state."""
    mesh = layout.mesh
    start = over_runs(over_groups(_start(config), layout), layout, {"run"})
    shapes = jax.eval_shape(start, *arguments)
    shardings = jax.tree.map(lambda x: state_sharding(mesh, x.shape), shapes)
    chunk = over_runs(in_place(_chunk(config, _placement(layout)), layout), layout, {"run"})
    by_part = PartitionSpec("run", "data")
    pair, data = guided(model_of(config.model)), layout.data
    is_guided = any(guides(cell.remedy) for cell in config.networks())

    def parts(one_run: Callable) -> Wrapped:
        """Of functions that each device of a run applies to a part of what is given."""
        return jax.jit(over_runs(over_groups(one_run, layout), layout, _BOTH, by_part))

    def facts(state: train.TrainState) -> tuple[jax.Array, ...]:
        active = jax.vmap(lambda s: train.is_active(config.train, s))(state)
        newest = state.newest_train_loss, state.newest_validation_loss
        return active, state.step, state.loss, state.finite, *newest

    return Programs(
        shapes=shapes,
        start=jax.jit(start, out_shardings=shardings),
        chunk=jax.jit(chunk, out_shardings=shardings, donate_argnums=0),
        facts=jax.jit(facts, out_shardings=None if multihost.alone() else NamedSharding(mesh, WHOLE)),
        sample=parts(_sample(config, layout)),
        sample_guided=parts(_sample(config, layout, pair)),
        nll=parts(_nll(config, layout)),
        samples_nll=parts(_samples_nll(config, layout)),
        pick=jax.jit(lambda params, rows: jax.tree.map(lambda x: x[rows], params), out_shardings=shardings.best_params),
        score=parts(remedy_programs.score(config, data)),
        score_guided=parts(remedy_programs.score_guided(config, data, pair)),
        copy=jax.jit(
            over_runs(over_groups(remedy_programs.copy(config, _placement(layout)), layout), layout, {"run"}),
            out_shardings=(shardings.best_params, shardings.best_params if is_guided else None),
        ),
        edit=parts(remedy_programs.edit(config, data)),
        over_run=jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, RUN)),
    )
