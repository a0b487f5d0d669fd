"""The run axis: all cells of a sweep as one program. Only this module sees it.

Every array has a leading run axis, laid out over all devices; there is no communication between runs. A
device takes its members one after another (`map`) or all at once (`vmap`): on CPU a member fills a core, so
`map` wins; on accelerators `vmap` fills the chip (`members="auto"`). Shapes are the same in all generations:
each of the programs (start, train, sample, judge) is compiled once.
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
from model.likelihood import expression_nll, lay_out_expressions
from model.sampling import sampler
from model.streams import Purpose, key

MEMBERS = ("auto", "map", "vmap")


class Ensemble:
    """Trains and samples the cells of a sweep side by side.

    Cell i lives in row `rows[i]` of every array: neighbours go to different devices, so that devices are
    equally busy while only some cells are. Rows that no cell owns are padding and never active.
    """

    def __init__(self, config: Config, seeds: Sequence[int], members: str = "auto"):
        n = len(seeds)
        num_devices = min(len(jax.devices()), n)
        per_device = -(-n // num_devices)
        self.rows = np.arange(n) % num_devices * per_device + np.arange(n) // num_devices
        self.num_rows = num_devices * per_device
        self.mesh = jax.make_mesh(
            (num_devices,),
            ("run",),
            axis_types=(jax.sharding.AxisType.Auto,),
            devices=jax.devices()[:num_devices],
        )
        self.sharding = NamedSharding(self.mesh, PartitionSpec("run"))
        self.seeds = self.put(np.asarray(seeds, np.uint32))
        if members == "auto":
            members = "map" if jax.default_backend() == "cpu" else "vmap"

        def over_runs(one_run: Callable) -> Callable:
            def on_device(*args: Any) -> Any:
                if members == "map":
                    return jax.lax.map(lambda a: one_run(*a), args)
                return jax.vmap(one_run)(*args)

            spec = PartitionSpec("run")
            return jax.shard_map(on_device, mesh=self.mesh, in_specs=spec, out_specs=spec, check_vma=False)

        def start(seed: jax.Array, generation: jax.Array, active: jax.Array) -> train.TrainState:
            return train.init_state(config.model, config.train, seed, generation).replace(finite=active)

        def chunk(state: train.TrainState, data: TrainData, seed: jax.Array, generation: jax.Array) -> train.TrainState:
            return jax.lax.cond(
                train.is_active(config.train, state),
                lambda s: train.train_chunk(config.model, config.train, s, data, seed, generation),
                lambda s: s,
                state,
            )

        sample_model = sampler(config.model, config.sample, config.loop.num_samples)
        shape = (config.loop.num_samples, config.model.context_length)

        held_out = lay_out_expressions(held_out_expressions(config), config.model.context_length)

        def nll(params: dict) -> jax.Array:
            return expression_nll(config.model, params, *held_out)

        def sample(params: dict, seed: jax.Array, generation: jax.Array, active: jax.Array) -> jax.Array:
            return jax.lax.cond(
                active,
                lambda: sample_model(params, key(seed, generation, Purpose.SAMPLE)),
                lambda: jnp.zeros(shape, jnp.uint8),
            )

        self._is_active = jax.jit(lambda state: jax.vmap(lambda s: train.is_active(config.train, s))(state))
        self._start = jax.jit(over_runs(start))
        self._chunk = jax.jit(over_runs(chunk), donate_argnums=0)
        self._sample = jax.jit(over_runs(sample))
        self._nll = jax.jit(over_runs(nll))

    def put(self, per_cell: np.ndarray) -> jax.Array:
        """Lays an array with one entry per cell out over the devices."""
        rows = np.zeros((self.num_rows, *per_cell.shape[1:]), per_cell.dtype)
        rows[self.rows] = per_cell
        return jax.device_put(rows, self.sharding)

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
        leaves = [self.put(np.stack([(rest if s is None else s)[name] for s in snapshots])) for name in sorted(one)]
        shape = jax.eval_shape(self._start, self.seeds, self._generation(0), self.put(np.zeros(len(snapshots), bool)))
        return jax.tree.unflatten(jax.tree.structure(shape), leaves)

    def sample(self, params: dict, generation: int, active: np.ndarray) -> np.ndarray:
        """Samples of the active cells, uint8 [cells, num_samples, context_length]; zeros for the others."""
        ids = self._sample(params, self.seeds, self._generation(generation), self.put(active))
        return self.get(ids)

    def held_out_nll(self, params: dict) -> np.ndarray:
        """-log M(e) in nats of every cell on the held-out real expressions, float32 [cells, expressions]."""
        return self.get(self._nll(params))

    def _generation(self, generation: int) -> jax.Array:
        return jax.device_put(np.full(self.num_rows, generation, np.int32), self.sharding)
