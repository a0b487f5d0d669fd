"""The run axis: all cells of a sweep as one program. Only this module sees it.

Every array has a leading run axis, laid out over the mesh's `run` (mesh.py); there is no communication between runs.
A device takes its members one after another (`map`), all at once (`vmap`), or so many at once: on CPU a member fills a
core, so `map` wins; on accelerators as many as fit fill the chip (`members="auto"`). Shapes are the same in all
generations: each of the programs (start, train, sample, judge) is compiled once.

Of several processes each feeds the cells on its own devices, and brings only these to its host. What all have to know
alike, such as which cells have steps left, are `facts`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from loop.config import Config
from loop.cycles import held_out_expressions
from loop.streams import Purpose, key
from loop.training import multihost, train
from loop.training.data import TrainData
from loop.training.memory import members_that_fit
from loop.training.mesh import choose_mesh, make_mesh, state_sharding
from model.likelihood import expression_nll, lay_out_expressions
from model.sampling import sampler

RUN, WHOLE = PartitionSpec("run"), PartitionSpec()


def members_at_once(members: str, config: Config, num_members: int, data: int = 1) -> int:
    """How many of its members a device takes at once. Raises ValueError, naming what is allowed."""
    if members == "auto":
        limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
        if jax.default_backend() == "cpu":
            members = "map"
        else:
            members = str(max(1, members_that_fit(config, limit, num_members, data))) if limit else "vmap"
    if members in ("map", "vmap"):
        return 1 if members == "map" else num_members
    if not members.isdecimal() or int(members) < 1:
        raise ValueError(f"members = {members}: allowed are auto, map, vmap, and integers from 1")
    groups = -(-num_members // int(members))
    return -(-num_members // groups)  # equal groups


class Facts(NamedTuple):
    """What decides how training goes on, of every cell, NumPy arrays; the same in all processes."""

    active: np.ndarray  # bool_N: steps are left
    step: np.ndarray  # int32_N
    loss: np.ndarray  # float32_N: mean of the last chunk, nats per symbol
    finite: np.ndarray  # bool_N


class Ensemble:
    """Trains and samples the cells of a sweep side by side.

    Cell i lives in row `rows[i]` of every array: neighbours go to different devices, so that devices are
    equally busy while only some cells are. Rows that no cell owns are padding and never active.

    `home[i]` is the process of the first device with cell i: it measures the cell. `held`, bool_N, are the cells
    with a device of this process: it has their training sets.
    """

    def __init__(
        self, config: Config, seeds: Sequence[int], members: str = "auto", mesh: tuple[int, int] | None = None
    ):
        n = len(seeds)
        slots, data = mesh or choose_mesh(n, len(jax.devices()), config.train.batch_size)
        at_once = members_at_once(members, config, -(-n // slots), data)
        at_once = min(int(theirs) for theirs in multihost.gather(str(at_once).encode()))  # devices may differ in memory
        per_slot = -(-n // (slots * at_once)) * at_once
        self.rows = np.arange(n) % slots * per_slot + np.arange(n) // slots
        self.num_rows = slots * per_slot
        self.mesh = make_mesh(slots, data)
        self.home = [int(self.mesh.devices[row // per_slot, 0].process_index) for row in self.rows]
        here = (np.vectorize(lambda d: d.process_index)(self.mesh.devices) == jax.process_index()).any(axis=1)
        self.held = here[self.rows // per_slot]
        self.sharding = NamedSharding(self.mesh, RUN)
        self.num_samples = config.loop.num_samples
        self.num_held_out = config.loop.num_held_out

        def at_a_time(one_run: Callable) -> Callable:
            """A function of one run, of as many at once as a device takes."""
            if at_once > 1:
                return jax.vmap(one_run, axis_name="member")
            # Not a vmap over one: `cond` would work through both of its branches.
            drop, add = (lambda x: x[0]), (lambda x: x[None])
            return lambda *args: jax.tree.map(add, one_run(*jax.tree.map(drop, args)))

        def over_groups(one_run: Callable) -> Callable:
            """A function of one run, of all runs of a device."""

            def on_device(*args: Any) -> Any:
                groups = jax.tree.map(lambda x: x.reshape(-1, at_once, *x.shape[1:]), args)
                results = jax.lax.map(lambda a: at_a_time(one_run)(*a), groups)
                return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), results)

            return on_device

        def in_place(one_run: Callable) -> Callable:
            """Likewise, where the result takes the place of the first argument: it is never held twice."""

            def on_device(state: Any, *args: Any) -> Any:
                def work(i: jax.Array, state: Any) -> Any:
                    mine = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * at_once, at_once), (state, *args))
                    return jax.tree.map(
                        lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * at_once, 0),
                        state,
                        at_a_time(one_run)(*mine),
                    )

                return jax.lax.fori_loop(0, per_slot // at_once, work, state)

            return on_device

        def over_runs(on_device: Callable, axes: set[str], out: PartitionSpec = RUN) -> Callable:
            """Spreads a function of a device's runs over the mesh; of `axes`, it sees its own part only."""
            return jax.shard_map(
                on_device, mesh=self.mesh, in_specs=RUN, out_specs=out, axis_names=axes, check_vma=False
            )

        def split(batch: jax.Array) -> jax.Array:
            return jax.lax.with_sharding_constraint(batch, PartitionSpec("data"))

        def gather(params: dict) -> dict:
            return jax.lax.with_sharding_constraint(params, WHOLE)

        place = train.Placement(split, gather) if data > 1 else train.ALONE

        def start(seed: jax.Array, generation: jax.Array, active: jax.Array) -> train.TrainState:
            return train.init_state(config.model, config.train, seed, generation).replace(finite=active)

        def chunk(state: train.TrainState, data: TrainData, seed: jax.Array, generation: jax.Array) -> train.TrainState:
            return jax.lax.cond(
                train.is_active(config.train, state),
                lambda s: train.train_chunk(config.model, config.train, s, data, seed, generation, place),
                lambda s: s,
                state,
            )

        # Samples are independent of each other: the devices that share a run write a part each.
        part = -(-self.num_samples // data)
        sample_part = sampler(config.model, config.sample, part, "member" if at_once > 1 else None)

        def sample(params: dict, seed: jax.Array, generation: jax.Array, active: jax.Array) -> jax.Array:
            stream = key(seed, generation, Purpose.SAMPLE)
            return jax.lax.cond(
                active,
                lambda: sample_part(params, stream, jax.lax.axis_index("data") * part),
                lambda: jnp.zeros((part, config.model.context_length), jnp.uint8),
            )

        # So are the held-out expressions.
        judged = -(-self.num_held_out // data)
        expressions = held_out_expressions(config)
        expressions += expressions[:1] * (judged * data - len(expressions))
        held_out = lay_out_expressions(expressions, config.model.context_length)

        def nll(params: dict) -> jax.Array:
            first = jax.lax.axis_index("data") * judged
            mine = [jax.lax.dynamic_slice_in_dim(jnp.asarray(x), first, judged) for x in held_out]
            return expression_nll(config.model, params, *mine)

        self.seeds = self.put(np.asarray(seeds, np.uint32))
        start_all = over_runs(over_groups(start), {"run"})
        self._shapes = jax.eval_shape(start_all, self.seeds, self._generation(0), self.put(np.zeros(n, bool)))
        state_shardings = jax.tree.map(lambda x: state_sharding(self.mesh, x.shape), self._shapes)
        both = {"run", "data"}

        def facts(state: train.TrainState) -> tuple[jax.Array, ...]:
            active = jax.vmap(lambda s: train.is_active(config.train, s))(state)
            return active, state.step, state.loss, state.finite

        self._facts = jax.jit(facts, out_shardings=None if multihost.alone() else NamedSharding(self.mesh, WHOLE))
        self._over_run = jax.jit(lambda x: x, out_shardings=self.sharding)
        self._start = jax.jit(start_all, out_shardings=state_shardings)
        self._chunk = jax.jit(over_runs(in_place(chunk), {"run"}), out_shardings=state_shardings, donate_argnums=0)
        self._sample = jax.jit(over_runs(over_groups(sample), both, PartitionSpec("run", "data")))
        self._nll = jax.jit(over_runs(over_groups(nll), both, PartitionSpec("run", "data")))

    def put(self, per_cell: np.ndarray, sharding: NamedSharding | None = None) -> jax.Array:
        """Lays an array with one entry per cell out over the devices; of other processes' cells any value will do."""
        rows = np.zeros((self.num_rows, *per_cell.shape[1:]), per_cell.dtype)
        rows[self.rows] = per_cell
        return self._put_rows(rows, sharding)

    def _put_rows(self, rows: np.ndarray, sharding: NamedSharding | None = None) -> jax.Array:
        if multihost.alone():
            return jax.device_put(rows, sharding or self.sharding)
        return jax.make_array_from_callback(rows.shape, sharding or self.sharding, lambda index: rows[index])

    def get(self, tree: Any) -> Any:
        """Brings arrays to the host, one entry per cell again; zeros for cells that are not `held`."""
        return jax.tree.map(lambda x: self._get_rows(x)[self.rows], tree)

    def _get_rows(self, x: jax.Array) -> np.ndarray:
        if x.is_fully_addressable or x.is_fully_replicated:
            return np.asarray(x)
        if "data" in jax.tree.leaves(tuple(cast(NamedSharding, x.sharding).spec)):
            x = self._over_run(x)
        rows = np.zeros(x.shape, x.dtype)
        for shard in x.addressable_shards:
            rows[shard.index] = np.asarray(shard.data)
        return rows

    def put_data(self, data: Sequence[TrainData | None], like: TrainData | None = None) -> TrainData:
        """Lays the cells' training sets out over the devices; a cell that rests has None, as has one not `held`.

        `like` gives their shapes, and may be left out if there is any.
        """
        some = [(row, d) for row, d in zip(self.rows, data, strict=True) if d is not None]

        def lay(like: np.ndarray, *leaves: np.ndarray) -> jax.Array:
            rows = np.zeros((self.num_rows, *np.shape(like)), like.dtype)
            for (row, _), leaf in zip(some, leaves, strict=True):
                rows[row] = leaf
            return self._put_rows(rows)

        return jax.tree.map(lay, like or some[0][1], *[d for _, d in some])

    def start(self, generation: int, active: np.ndarray) -> train.TrainState:
        """Fresh models for the active cells, bool_N; the others never take a step."""
        return self._start(self.seeds, self._generation(generation), self.put(active))

    def train_chunk(self, state: train.TrainState, data: TrainData, generation: int) -> train.TrainState:
        """Trains every active cell up to its next evaluation. Consumes `state`."""
        return self._chunk(state, data, self.seeds, self._generation(generation))

    def facts(self, state: train.TrainState) -> Facts:
        """Waits for the state to be there."""
        return Facts(*self.get(self._facts(state)))

    def place(self, tree: Any, cell: int) -> Any:
        """A cell's NumPy arrays, to be saved: among several processes their home's, as all of them see it."""
        return tree if multihost.alone() else multihost.place(tree, self.home[cell])

    def snapshot(self, state: train.TrainState, cells: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The whole state of these cells: whatever devices it is taken from, `restore` goes on."""
        leaves = [self.get(leaf) for leaf in jax.tree.leaves(state)]
        return {i: self.place({f"{n:03d}": np.asarray(leaf[i]) for n, leaf in enumerate(leaves)}, i) for i in cells}

    def restore(self, snapshots: Sequence[dict[str, np.ndarray] | None]) -> train.TrainState:
        """The state of a snapshot, one entry per cell; a cell that rests has None, as has one not `held`."""
        leaves = []
        for n, like in enumerate(jax.tree.leaves(self._shapes)):
            rows = np.zeros(like.shape, like.dtype)  # not finite: never active
            for row, s in zip(self.rows, snapshots, strict=True):
                if s is not None:
                    rows[row] = s[f"{n:03d}"]
            leaves.append(self._put_rows(rows, state_sharding(self.mesh, like.shape)))
        return jax.tree.unflatten(jax.tree.structure(self._shapes), leaves)

    def sample(self, params: dict, generation: int, active: np.ndarray) -> np.ndarray:
        """Samples of the active cells, uint8 [cells, num_samples, context_length]; zeros for the others."""
        ids = self._sample(params, self.seeds, self._generation(generation), self.put(active))
        return self.get(ids)[:, : self.num_samples]

    def held_out_nll(self, params: dict) -> np.ndarray:
        """-log M(e) in nats of every cell on the held-out real expressions, float32 [cells, expressions]."""
        return self.get(self._nll(params))[:, : self.num_held_out]

    def _generation(self, generation: int) -> jax.Array:
        return self._put_rows(np.full(self.num_rows, generation, np.int32))
