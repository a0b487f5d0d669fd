"""The run axis: all cells of a sweep as one program. Only this module sees it.

Every array has a leading run axis, laid out over the mesh's `run` (loop/mesh.py); there is no communication between
runs. A device takes its members one after another (`map`), all at once (`vmap`), or so many at once: on CPU a member
fills a core, so `map` wins; on accelerators as many as fit fill the chip (`members="auto"`). Shapes are the same in all
generations: each of the programs (start, train, sample, judge) is compiled once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from loop import train
from loop.config import Config
from loop.cycles import held_out_expressions
from loop.data import TrainData
from loop.mesh import choose_mesh, make_mesh, state_sharding
from model.likelihood import expression_nll, lay_out_expressions
from model.sampling import sampler
from model.streams import Purpose, key

RUN, WHOLE = PartitionSpec("run"), PartitionSpec()


def members_at_once(members: str, config: Config, num_members: int) -> int:
    """How many of its members a device takes at once. Raises ValueError, naming what is allowed."""
    if members == "auto":
        return 1 if jax.default_backend() == "cpu" else num_members
    if members in ("map", "vmap"):
        return 1 if members == "map" else num_members
    if not members.isdecimal() or int(members) < 1:
        raise ValueError(f"members = {members}: allowed are auto, map, vmap, and integers from 1")
    groups = -(-num_members // int(members))
    return -(-num_members // groups)  # equal groups


class Ensemble:
    """Trains and samples the cells of a sweep side by side.

    Cell i lives in row `rows[i]` of every array: neighbours go to different devices, so that devices are
    equally busy while only some cells are. Rows that no cell owns are padding and never active.
    """

    def __init__(
        self, config: Config, seeds: Sequence[int], members: str = "auto", mesh: tuple[int, int] | None = None
    ):
        n = len(seeds)
        slots, data = mesh or choose_mesh(n, len(jax.devices()), config.train.batch_size)
        at_once = members_at_once(members, config, -(-n // slots))
        per_slot = -(-n // (slots * at_once)) * at_once
        self.rows = np.arange(n) % slots * per_slot + np.arange(n) // slots
        self.num_rows = slots * per_slot
        self.mesh = make_mesh(slots, data)
        self.sharding = NamedSharding(self.mesh, RUN)
        self.num_samples = config.loop.num_samples
        self.num_held_out = config.loop.num_held_out

        def over_runs(one_run: Callable, axes: set[str], out: PartitionSpec = RUN) -> Callable:
            """Maps a function of one run over the rows; of `axes`, it sees its own part only."""

            def on_device(*args: Any) -> Any:
                if at_once == 1:
                    return jax.lax.map(lambda a: one_run(*a), args)
                groups = jax.tree.map(lambda x: x.reshape(-1, at_once, *x.shape[1:]), args)
                results = jax.lax.map(lambda a: jax.vmap(one_run)(*a), groups)
                return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), results)

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
        sample_part = sampler(config.model, config.sample, part)

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
        start_all = over_runs(start, {"run"})
        self._shapes = jax.eval_shape(start_all, self.seeds, self._generation(0), self.put(np.zeros(n, bool)))
        state_shardings = jax.tree.map(lambda x: state_sharding(self.mesh, x.shape), self._shapes)
        both = {"run", "data"}
        self._is_active = jax.jit(lambda state: jax.vmap(lambda s: train.is_active(config.train, s))(state))
        self._start = jax.jit(start_all, out_shardings=state_shardings)
        self._chunk = jax.jit(over_runs(chunk, {"run"}), out_shardings=state_shardings, donate_argnums=0)
        self._sample = jax.jit(over_runs(sample, both, PartitionSpec("run", "data")))
        self._nll = jax.jit(over_runs(nll, both, PartitionSpec("run", "data")))

    def put(self, per_cell: np.ndarray, sharding: NamedSharding | None = None) -> jax.Array:
        """Lays an array with one entry per cell out over the devices."""
        rows = np.zeros((self.num_rows, *per_cell.shape[1:]), per_cell.dtype)
        rows[self.rows] = per_cell
        return jax.device_put(rows, sharding or self.sharding)

    def get(self, tree: Any) -> Any:
        """Brings arrays to the host, one entry per cell again."""
        return jax.tree.map(lambda x: np.asarray(x)[self.rows], tree)

    def put_data(self, data: Sequence[TrainData | None]) -> TrainData:
        """Lays the cells' training sets out over the devices; a cell that rests has None."""
        blank = jax.tree.map(np.zeros_like, next(d for d in data if d is not None))
        return jax.tree.map(lambda *x: self.put(np.stack(x)), *[blank if d is None else d for d in data])

    def start(self, generation: int, active: np.ndarray) -> train.TrainState:
        """Fresh models for the active cells, bool_N; the others never take a step."""
        return self._start(self.seeds, self._generation(generation), self.put(active))

    def train_chunk(self, state: train.TrainState, data: TrainData, generation: int) -> train.TrainState:
        """Trains every active cell up to its next evaluation. Consumes `state`."""
        return self._chunk(state, data, self.seeds, self._generation(generation))

    def is_active(self, state: train.TrainState) -> jax.Array:
        """Which rows have steps left, bool."""
        return self._is_active(state)

    def snapshot(self, state: train.TrainState, cells: Sequence[int]) -> dict[int, dict[str, np.ndarray]]:
        """The whole state of these cells, on the host: whatever devices it is taken from, `restore` goes on."""
        leaves = [self.get(leaf) for leaf in jax.tree.leaves(state)]
        return {i: {f"{n:03d}": np.asarray(leaf[i]) for n, leaf in enumerate(leaves)} for i in cells}

    def restore(self, snapshots: Sequence[dict[str, np.ndarray] | None]) -> train.TrainState:
        """The state of a snapshot, one entry per cell; a cell that rests has None."""
        one = next(s for s in snapshots if s is not None)
        rest = {name: np.zeros_like(leaf) for name, leaf in one.items()}  # not finite: never active
        leaves = []
        for name in sorted(one):
            leaf = np.stack([(rest if s is None else s)[name] for s in snapshots])
            leaves.append(self.put(leaf, state_sharding(self.mesh, (self.num_rows, *leaf.shape[1:]))))
        return jax.tree.unflatten(jax.tree.structure(self._shapes), leaves)

    def sample(self, params: dict, generation: int, active: np.ndarray) -> np.ndarray:
        """Samples of the active cells, uint8 [cells, num_samples, context_length]; zeros for the others."""
        ids = self._sample(params, self.seeds, self._generation(generation), self.put(active))
        return self.get(ids)[:, : self.num_samples]

    def held_out_nll(self, params: dict) -> np.ndarray:
        """-log M(e) in nats of every cell on the held-out real expressions, float32 [cells, expressions]."""
        return self.get(self._nll(params))[:, : self.num_held_out]

    def _generation(self, generation: int) -> jax.Array:
        return jax.device_put(np.full(self.num_rows, generation, np.int32), self.sharding)
