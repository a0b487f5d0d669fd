"""How cells and batches lie over devices: a mesh of two axes, `run` and `data`.

Cells are spread over `run`, without any communication. The devices along `data` share a cell: each takes a part of
every batch, and keeps a part of the parameters and of the optimiser's state (fully sharded data parallelism).
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from logic.errors import UsageError


def choose_mesh(num_cells: int, num_devices: int, batch_size: int) -> tuple[int, int]:
    """(run, data): as many devices along `run` as there are cells; what is left shares them, if the batch divides."""
    run = min(num_cells, num_devices)
    return run, next(d for d in range(num_devices // run, 0, -1) if batch_size % d == 0)


def parse_mesh(text: str, num_cells: int, num_devices: int, batch_size: int) -> tuple[int, int]:
    """(run, data) of `auto` or of, for example, `4x2`. Raises ValueError, naming what is allowed."""
    if text == "auto":
        return choose_mesh(num_cells, num_devices, batch_size)
    run, _, data = text.partition("x")
    if not (run.isdecimal() and data.isdecimal() and int(run) > 0 and int(data) > 0):
        raise ValueError(f"mesh = {text}: allowed are auto and RUNxDATA, such as {num_devices}x1")
    if int(run) * int(data) > num_devices:
        raise ValueError(f"mesh = {text}: that takes {int(run) * int(data)} devices, there are {num_devices}")
    if batch_size % int(data):
        raise ValueError(f"mesh = {text}: train.batch_size = {batch_size} is no multiple of {data}")
    return min(int(run), num_cells), int(data)


def make_mesh(run: int, data: int) -> Mesh:
    """The first devices, neighbours along `data`, so that what talks to each other is near.

    Of several processes' devices, those are taken that leave them equally busy. Raises UsageError if one has none.
    """
    n, all_devices = jax.process_count(), jax.devices()
    if jax.local_device_count() * n != len(all_devices):
        raise UsageError(f"{len(all_devices)} devices, {jax.local_device_count()} here: every process needs as many")
    slots = np.array(all_devices[: len(all_devices) // data * data]).reshape(-1, data)
    devices = slots[:run] if n == 1 else slots[np.arange(run) * len(slots) // run]
    busy = len({device.process_index for device in devices.flat})
    if busy < n:
        raise UsageError(f"{n} processes, and a mesh of {run}x{data} devices: start at most {busy}")
    return Mesh(devices, ("run", "data"), axis_types=(jax.sharding.AxisType.Auto,) * 2)


def state_sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """Of an array of the training state, whose first axis is `run`: matrices that divide are split along `data`."""
    data = mesh.shape["data"]
    axes: list[str | None] = ["run", *[None] * (len(shape) - 1)]
    if data > 1 and len(shape) > 2:
        largest = max(range(1, len(shape)), key=lambda i: shape[i] if shape[i] % data == 0 else 0)
        if shape[largest] % data == 0:
            axes[largest] = "data"
    return NamedSharding(mesh, PartitionSpec(*axes))
