"""Device memory of a sweep, from the shapes of its arrays.

What is kept is counted exactly. What a training step holds besides is a small formula whose coefficients were read off
XLA's own accounts of compiled chunks (`compiled.memory_analysis()`, CPU, float32), which the tests compare with: it is
within a third of them. On an accelerator XLA fuses more, and bfloat16 is not emulated: there it is an estimate.

Axes: B batch, T symbols, D width, H heads, L layers.
"""

import dataclasses
import functools
from collections.abc import Callable

from loop.config import Config
from loop.remedies import acting, guides, needing, reach, remedies_of
from loop.remedies.remedy import SURPRISE, WRITTEN
from model.config import ModelConfig

FILLED = 0.75  # share of a device's memory that these formulas may fill: they err by as much as a third
_FLOAT32 = 4
_LAYER, _LAYER_DROPOUT = 24, 3  # arrays [B, T, D] that the backward pass of a layer needs
_ENDS, _ENDS_DROPOUT = 6, 5  # and those of embedding, last norm and output layer
_SCORES, _SCORES_DROPOUT = 2, 3  # float32 arrays [B, H, T, T] per layer
_COPIES = 11  # of a cell's parameters on the host: what is written, what judges; a saved state (4), twice in passing
_FORWARD = 12  # arrays [B, T, D] that live at once where nothing is kept for a backward pass


@dataclasses.dataclass(frozen=True)
class CellBytes:
    """Bytes of device memory, of one cell on each of the devices that share it."""

    params: int
    moments: int  # the optimiser's two
    best: int  # parameters of the lowest validation loss
    # The training set's stream and starts, at the capacity of the largest set of the sweep; later, samples to score.
    data: int
    gradients: int  # of a batch; of one in parts also those of a part
    gathered: int  # whole parameters, where devices share them, and those in the activations' type
    activations: int  # all that a training step keeps for its backward pass, of a part of the batch
    sampler: int  # keys and values of the samples that are being written; of two models where one guides the other
    likelihood: int  # a forward pass over held-out expressions, or those that a remedy scores or edits

    @property
    def state(self) -> int:
        """What training carries on."""
        return self.params + self.moments + self.best

    @property
    def working(self) -> int:
        """What is held only while the cell is worked on: by the largest of training, sampling and judging.

        A copy that learns from the model's own samples takes no more than training: it takes the place of the
        training's parameters and moments, which are let go before.
        """
        training = self.gradients + self.gathered + self.activations
        return max(training, self.gathered + self.sampler, self.gathered + self.likelihood)


def capacity(config: Config) -> tuple[int, int]:
    """(symbols, examples) that the largest training set of the sweep can have."""
    last = config.loop.generations - 1
    examples = max(config.train_size(cycle, last) for cycle in config.sweep.cycles)
    longest = max(config.language.max_length, config.model.context_length)
    return examples * (longest + 1), examples


def num_to_score(config: Config) -> int:
    """Samples of a cell that its model scores for remedies at most: its own, and those that remedies look back on."""
    cells = [c for c in config.networks() if needing(remedies_of(c.remedy), SURPRISE, WRITTEN)]
    return config.loop.num_samples * max((reach(cell.remedy) for cell in cells), default=0)


def num_to_edit(config: Config) -> int:
    """Real examples of a cell that its model edits for remedies at most."""
    cells = [cell for cell in config.networks() if acting(remedies_of(cell.remedy), "edit")]
    return max((config.num_fresh(c, t) for c in cells for t in range(config.loop.generations)), default=0)


def bytes_per_cell(config: Config, data: int = 1, accelerator: bool = True, parts: int = 1) -> CellBytes:
    """What one cell takes on each of the `data` devices that share it (loop/training/mesh.py), if they work through a
    batch in `parts`."""
    model, batch = config.model, -(-config.train.batch_size // (data * parts))
    params = _FLOAT32 * num_params(model)
    symbols, examples = capacity(config)
    scalar = 2 if accelerator and model.dtype == "bfloat16" else _FLOAT32  # CPUs compute bfloat16 in float32
    stream = symbols + 4 * examples + (_FLOAT32 * symbols if _weighs(config) else 0)
    judged = max(num_to_score(config), num_to_edit(config))
    gathered = (params if data > 1 else 0) + (params * scalar // _FLOAT32 if model.dtype == "bfloat16" else 0)
    sampler = _sampler(config, data, scalar, accelerator)
    if any(guides(spelling) for spelling in config.sweep.remedies):
        sampler = 2 * sampler + gathered
    return CellBytes(
        params=params // data,
        moments=2 * params // data,
        best=params // data,
        data=max(stream, judged * (model.context_length + 1 + 4)),
        gradients=params // data * (2 if parts > 1 else 1),
        gathered=gathered,
        activations=_activations(model, batch, scalar),
        sampler=sampler,
        likelihood=_forward(
            model, min(_rows(model, accelerator), -(-max(config.loop.num_held_out, judged) // data)), scalar
        ),
    )


def _weighs(config: Config) -> bool:
    """Whether some remedy of the sweep weighs examples."""
    return any(acting(remedies_of(spelling), "weigh") for spelling in config.sweep.remedies)


@functools.cache
def num_params(model: ModelConfig) -> int:
    """Trained scalars."""
    from model import models  # imports JAX

    return models.num_params(model)


def _scores(model: ModelConfig, batch: int) -> int:
    """Bytes of one layer's attention scores."""
    from model.transformer import LONG

    halves = 3 / 4 if model.context_length >= LONG else 1
    return round(_FLOAT32 * batch * model.num_heads * model.context_length**2 * halves)


def _activations(model: ModelConfig, batch: int, scalar: int) -> int:
    one, dropout = scalar * batch * model.context_length * model.width, model.dropout > 0
    layer = one * (_LAYER + _LAYER_DROPOUT * dropout)
    layer += _scores(model, batch) * (_SCORES + _SCORES_DROPOUT * dropout)
    return model.num_layers * layer + one * (_ENDS + _ENDS_DROPOUT * dropout)


def _forward(model: ModelConfig, batch: int, scalar: int) -> int:
    return _FORWARD * scalar * batch * model.context_length * model.width + 2 * _scores(model, batch)


def _rows(model: ModelConfig, accelerator: bool) -> int:
    from model.likelihood import rows_at_once  # imports JAX

    return rows_at_once(model.context_length, accelerator)


def sampler_rows(config: Config, accelerator: bool) -> int:
    """Samples that one cell writes side by side; see model.sampling.rows."""
    from model.sampling import AUTOMATIC_ROWS

    return min(config.sample.batch_size or AUTOMATIC_ROWS[accelerator], config.loop.num_samples)


def _sampler(config: Config, data: int, scalar: int, accelerator: bool) -> int:
    from model.sampling import passes

    model, rows = config.model, min(sampler_rows(config, accelerator), -(-config.loop.num_samples // data))
    symbols = max(rows * places for rows, places in passes(rows, model.context_length, accelerator))
    cache = 2 * model.num_layers * symbols * model.width * scalar
    return 2 * cache + 2 * config.loop.num_samples * model.context_length  # the loop's step has a second one


def check_members(members: str) -> None:
    """Raises ValueError, naming what is allowed, for a way that a device cannot take its cells."""
    if members not in ("auto", "map", "vmap") and not (members.isdecimal() and int(members) > 0):
        raise ValueError(f"members = {members}: allowed are auto, map, vmap, and integers from 1")


def groups(cells: int, at_once: int) -> tuple[int, int]:
    """(groups, cells in each) if a device with that many cells takes at most `at_once` of them side by side."""
    count = -(-cells // min(at_once, cells))
    return count, -(-cells // count)


def bytes_on_device(cell: CellBytes, cells: int, at_once: int) -> int:
    """Most bytes in use on a device with that many cells, of which it takes at most `at_once` side by side.

    All states lie on the device. A group that is worked on has its states before and after a step.
    """
    count, together = groups(cells, at_once)
    rows = count * together
    worked_on = together * cell.state if rows > 1 else 0
    return rows * (cell.state + cell.data) + worked_on + together * cell.working


def of_device() -> int | None:
    """Bytes of the memory of this process's first device; None where it does not say."""
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def settings_that_fit(
    config: Config,
    device: float,
    host: float | None,
    mesh_of: Callable[[int], tuple[int, int]],
    members: str,
    most: int,
) -> int:
    """How many settings of a sweep, at least one, run together: their cells lie on the devices, all at once.

    Args:
      device: bytes of each accelerator's memory; of a CPU's device, its part of the host's.
      host: bytes of the host's memory, its part for each accelerator; None: of a CPU, which is its own host.
      mesh_of: the mesh, of so many cells.
      members: how a device takes its cells; `auto`: one by one, where they would not fit otherwise.
      most: settings that there are.
    """
    networks, accelerator = len(config.networks()), host is not None
    if not networks:
        return most
    for settings in range(most, 1, -1):
        run, data = mesh_of(settings * networks)
        cells = -(-settings * networks // run)
        cell = bytes_per_cell(config, data, accelerator)
        together = cells if members == "vmap" else int(members) if members.isdecimal() else 1
        there, copies = bytes_on_device(cell, cells, together), _COPIES * cells * cell.params
        if host is None:
            there += copies
        if there <= FILLED * device and (host is None or copies <= FILLED * host):
            return settings
    return 1


def members_that_fit(
    config: Config,
    bytes_limit: float,
    cells: int | None = None,
    data: int = 1,
    accelerator: bool = True,
    parts: int = 1,
) -> int:
    """How many cells a device of that memory takes side by side; 0 if not even one fits.

    Args:
      bytes_limit: of the device, such as `device.memory_stats()["bytes_limit"]`; `FILLED` of it is used.
      cells: that the device has, in groups, all of whose states it holds; None: no more than are side by side.
      data: devices that share each cell.
      parts: of a batch, one after another.
    """
    cell, room = bytes_per_cell(config, data, accelerator, parts), FILLED * bytes_limit

    def fits(at_once: int) -> bool:
        return bytes_on_device(cell, at_once if cells is None else cells, at_once) <= room

    if cells is not None:
        return next((k for k in range(cells, 0, -1) if fits(k)), 0)
    two = bytes_on_device(cell, 2, 2)  # from two cells on, each takes as much as the others
    return max(int(2 * room // two), int(fits(1)))
