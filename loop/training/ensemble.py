"""The run axis: all cells of a sweep as one program. Only this module and programs.py see it.

Every array has a leading run axis, laid out over the mesh's `run` (mesh.py); there is no communication between runs.
A device takes its members one after another (`map`), all at once (`vmap`), or so many at once: on CPU a member fills a
core, so `map` wins; on accelerators as many as fit fill the chip (`members="auto"`). Shapes are the same in all
generations: each of the programs (start, train, sample, judge) is compiled once.

Of several processes each feeds the cells on its own devices, and brings only these to its host. What all have to know
alike, such as which cells have steps left, are `facts`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from jax.sharding import NamedSharding

from logic.errors import UsageError
from loop.cell import Cell
from loop.config import Config
from loop.remedies import guides
from loop.streams import Purpose
from loop.training import memory, multihost, train
from loop.training.data import TrainData
from loop.training.first import First
from loop.training.mesh import choose_mesh, make_mesh, state_sharding
from loop.training.micro_batch import parts_of_batch
from loop.training.programs import RUN, Layout, build, num_to_judge
from loop.training.treatment import treatments
from model.guidance import Guided
from model.likelihood import lay_out_expressions


def members_at_once(members: str, config: Config, num_members: int, data: int = 1, parts: int = 1) -> int:
    """How many of its members a device takes at once. Raises ValueError, naming what is allowed."""
    memory.check_members(members)
    if members == "auto":
        if jax.default_backend() == "cpu":
            members = "map"
        else:
            limit = memory.of_device()
            fitting = memory.members_that_fit(config, limit, num_members, data, parts=parts) if limit else num_members
            members = str(max(1, fitting))
    if members in ("map", "vmap"):
        return 1 if members == "map" else num_members
    return memory.groups(num_members, int(members))[1]


class Facts(NamedTuple):
    """What decides how training goes on, and its curve, of every cell, NumPy arrays; the same in all processes."""

    active: np.ndarray  # bool_N: steps are left
    step: np.ndarray  # int32_N
    loss: np.ndarray  # float32_N: mean of the last chunk, nats per symbol
    finite: np.ndarray  # bool_N
    newest_train_loss: np.ndarray  # float32_N: of the newest evaluation, nats per symbol
    newest_validation_loss: np.ndarray  # float32_N: likewise


class Ensemble:
    """Trains and samples the cells of a sweep side by side.

    Cell i lives in row `rows[i]` of every array: neighbours go to different devices, so that devices are
    equally busy while only some cells are. Rows that no cell owns are padding and never active.

    `owner[i]` is the process of the first device with cell i: it measures the cell. `held`, bool_N, are the cells with
    a device of this process: it has their training sets. `first` is set in generation 0, or when a run goes on.
    """

    def __init__(
        self,
        config: Config,
        cells: Sequence[Cell],
        members: str = "auto",
        mesh: tuple[int, int] | None = None,
        settings: Mapping[str, Config] | None = None,
    ):
        """Args:
        config: what decides shapes; of several settings, their `representative`.
        cells: networks, in the order of all arrays that have one entry per cell.
        members, mesh: as the command line says.
        settings: the cells' configurations by `cell.setting`, alike but for numbers (loop/numbers.py); None: `config`.
        """
        n, self.cells = len(cells), list(cells)
        self._lay_out(config, n, members, mesh or choose_mesh(n, len(jax.devices()), config.train.batch_size))
        self.sharding = NamedSharding(self.layout.mesh, RUN)
        self.config = config
        self.first: First | None = None
        self.num_samples, self.num_held_out = config.loop.num_samples, config.loop.num_held_out
        self.seeds = self.put(np.array([cell.seed for cell in cells], np.uint32))
        like_start = self.seeds, self._generation(0), self.put(np.zeros(n, bool))
        self._programs = build(config, self.layout, like_start)
        configs = [settings[cell.setting] if settings else config for cell in cells]
        self.treatment = jax.tree.map(self.put, treatments(configs, [cell.remedy for cell in cells]))
        self.guided = np.array([guides(cell.remedy) for cell in cells])

    def _lay_out(self, config: Config, n: int, members: str, mesh: tuple[int, int]) -> None:
        """Decides in which row and on which devices every cell lies."""
        slots, data = mesh
        mine, accelerator = -(-n // slots), jax.default_backend() != "cpu"
        parts = multihost.agreed(parts_of_batch(config, data, accelerator, memory.of_device(), mine), max)
        at_once = multihost.agreed(members_at_once(members, config, mine, data, parts), min)
        per_slot = -(-n // (slots * at_once)) * at_once
        self.layout = Layout(make_mesh(slots, data), per_slot, at_once, parts)
        self.rows = np.arange(n) % slots * per_slot + np.arange(n) // slots
        devices = self.layout.mesh.devices
        self.owner = [int(devices[row // per_slot, 0].process_index) for row in self.rows]
        here = (np.vectorize(lambda d: d.process_index)(devices) == jax.process_index()).any(axis=1)
        self.held = here[self.rows // per_slot]

    def put(self, per_cell: np.ndarray, sharding: NamedSharding | None = None) -> jax.Array:
        """Lays an array with one entry per cell out over the devices; of other processes' cells any value will do."""
        rows = np.zeros((self.layout.num_rows, *per_cell.shape[1:]), per_cell.dtype)
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
            x = self._programs.over_run(x)
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
            rows = np.zeros((self.layout.num_rows, *np.shape(like)), like.dtype)
            for (row, _), leaf in zip(some, leaves, strict=True):
                rows[row] = leaf
            return self._put_rows(rows)

        return jax.tree.map(lay, like or some[0][1], *[d for _, d in some])

    def start(self, generation: int, active: np.ndarray) -> train.TrainState:
        """Fresh models for the active cells, bool_N; the others never take a step."""
        return self._programs.start(self.seeds, self._generation(generation), self.put(active))

    def train_chunk(self, state: train.TrainState, data: TrainData, generation: int) -> train.TrainState:
        """Trains every active cell up to its next evaluation. Consumes `state`."""
        return self._programs.chunk(state, data, self.seeds, self._generation(generation), self.treatment)

    def facts(self, state: train.TrainState) -> Facts:
        """Waits for the state to be there."""
        return Facts(*self.get(self._programs.facts(state)))

    def place(self, tree: Any, cell: int) -> Any:
        """A cell's NumPy arrays, to be saved: among several processes their owner's, as all of them see it."""
        return tree if multihost.alone() else multihost.place(tree, self.owner[cell])

    def snapshot(self, state: train.TrainState, cells: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The whole state of these cells, by the names of its leaves: `restore` goes on, on whatever devices."""
        leaves = {name: self.get(leaf) for name, leaf in _named_leaves(state).items()}
        return {i: self.place({name: np.asarray(x[i]) for name, x in leaves.items()}, i) for i in cells}

    def restore(self, snapshots: Sequence[dict[str, np.ndarray] | None]) -> train.TrainState:
        """The state of a snapshot, one entry per cell; a cell that rests has None, as has one not `held`.

        Raises UsageError for a state of another structure, such as another version of this code has saved.
        """
        shapes = _named_leaves(self._programs.shapes)
        for names in {frozenset(s) for s in snapshots if s is not None}:
            if different := sorted(names ^ shapes.keys()):
                raise UsageError(
                    f"the saved state is of another version of this code ({different[0]}): remove the run's state/, "
                    "and its generation is trained from the start"
                )
        leaves = []
        for name, like in shapes.items():
            rows = np.zeros(like.shape, like.dtype)  # not finite: never active
            for row, s in zip(self.rows, snapshots, strict=True):
                if s is not None:
                    rows[row] = s[name]
            leaves.append(self._put_rows(rows, state_sharding(self.layout.mesh, like.shape)))
        return jax.tree.unflatten(jax.tree.structure(self._programs.shapes), leaves)

    def sample(
        self,
        params: dict,
        generation: int,
        active: np.ndarray,
        purpose: Purpose = Purpose.SAMPLE,
        copies: dict | None = None,
    ) -> np.ndarray:
        """Samples of the active cells, uint8 [cells, num_samples, context_length]; zeros for the others.

        With `copies`, cells that are `guided` write under their guidance.
        """
        at, stream = self._generation(generation), self._generation(int(purpose))

        def write(program: Any, params: Any, active: np.ndarray) -> np.ndarray:
            return self.get(program(params, self.seeds, at, self.put(active), self.treatment, stream))

        if copies is None:
            ids = write(self._programs.sample, params, active)
        else:
            ids = write(self._programs.sample, params, active & ~self.guided)
            ids |= write(self._programs.sample_guided, self._pair(params, copies), active & self.guided)
        return ids[:, : self.num_samples]

    def _pair(self, params: dict, copies: dict) -> Guided:
        return Guided(params, copies, self.treatment.guidance)

    def score(
        self, params: dict, samples: Sequence[Sequence[bytes]], active: np.ndarray, copies: dict | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """-log M(e) in nats of samples of the active cells, at temperature 1 and as they are sampled; rows of zeros for
        the others, and behind a cell's last sample. float32 [cells, samples].

        Args:
          samples: of every cell, none of those that are not `held`.
          copies: with them, what `guided` cells sample is what they write under their guidance.
        """
        laid_out = self._put_expressions(samples, memory.num_to_score(self.config))
        nats = self._programs.score(params, *laid_out, self.put(active), self.treatment)
        plain, written = (self.get(x) for x in nats)
        if copies is not None:
            pair, on = self._pair(params, copies), active & self.guided
            both = self.get(self._programs.score_guided(pair, *laid_out, self.put(on), self.treatment))
            written = np.where(on[:, None], both, written)
        return plain, written

    def _put_expressions(self, expressions: Sequence[Sequence[bytes]], most: int) -> tuple[jax.Array, jax.Array]:
        """Ids and lengths of every cell's expressions, at most so many of each."""
        room, T = -(-most // self.layout.data) * self.layout.data, self.config.model.context_length
        ids = np.zeros((len(expressions), room, T + 1), np.uint8)
        length = np.zeros((len(expressions), room), np.int32)
        for i, mine in enumerate(expressions):
            ids[i, : len(mine)], length[i, : len(mine)] = lay_out_expressions(mine, T)
        return self.put(ids), self.put(length)

    def with_copies(
        self, params: dict, data: TrainData, generation: int, active: np.ndarray
    ) -> tuple[dict, dict | None]:
        """The parameters that active cells sample, moved away from those of copies that learnt from `data` where a
        remedy does so, and the copies', if some cell is `guided`."""
        return self._programs.copy(
            params, data, self.seeds, self._generation(generation), self.put(active), self.treatment
        )

    def edit(
        self, params: dict, expressions: Sequence[Sequence[bytes]], generation: int, active: np.ndarray
    ) -> list[list[bytes]]:
        """The active cells' real examples as their models edit them; what exceeds the context stays as it is."""
        laid_out = self._put_expressions(expressions, memory.num_to_edit(self.config))
        seeds, at = self.seeds, self._generation(generation)
        ids = self.get(self._programs.edit(params, *laid_out, seeds, at, self.put(active), self.treatment))
        T = ids.shape[-1]
        return [
            [row[: min(len(e), T)].tobytes() + e[T:] for row, e in zip(rows, mine, strict=False)]
            for rows, mine in zip(ids, expressions, strict=True)
        ]

    def held_out_nll(self, params: dict) -> np.ndarray:
        """-log M(e) in nats of every cell on the held-out real expressions, float32 [cells, expressions]."""
        return self.get(self._programs.nll(params))[:, : self.num_held_out]

    def samples_nll(self, params: dict, samples: Mapping[int, Sequence[bytes]]) -> dict[int, np.ndarray]:
        """-log M(e) in nats of samples of the cells, as many of each as are to be judged; of others any value."""
        n = num_to_judge(self.config, self.layout)
        laid_out = self._put_expressions([samples.get(i, []) for i in range(len(self.rows))], n)
        nll = self.get(self._programs.samples_nll(params, *laid_out))
        return {i: nll[i, : len(mine)] for i, mine in samples.items()}

    def pick(self, params: dict, cells: Sequence[int]) -> dict:
        """On the host, one entry per cell: the parameters of `cells[i]` for cell i."""
        rows = np.zeros(self.layout.num_rows, np.int32)
        rows[self.rows] = self.rows[list(cells)]
        return self.get(self._programs.pick(params, self._put_rows(rows)))

    def stack(self, params: Sequence[dict | None]) -> dict:
        """On the host, one entry per cell: those parameters; zeros where there is None."""
        some = [p for p in params if p is not None]
        shapes = self._programs.shapes.best_params

        def one(like: jax.ShapeDtypeStruct, *leaves: np.ndarray) -> np.ndarray:
            found = iter(leaves)
            return np.stack([np.zeros(like.shape[1:], like.dtype) if p is None else next(found) for p in params])

        return jax.tree.map(one, shapes, *some)

    def put_params(self, params: dict) -> dict:
        """The opposite of `pick` and `stack`: on the devices, laid out as the state is."""
        return jax.tree.map(
            lambda x: self.put(x, state_sharding(self.layout.mesh, (self.layout.num_rows, *x.shape[1:]))), params
        )

    def _generation(self, generation: int) -> jax.Array:
        """The same number for all runs."""
        return self._put_rows(np.full(self.layout.num_rows, generation, np.int32))


def _named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths, such as `params.block_0.mlp_in.kernel`, in the tree's order."""
    named, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in named}
