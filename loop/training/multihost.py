"""Several processes as one program: what they tell each other between programs on the devices.

Everything here is called by all processes, in the same order, from their main threads: these are collectives of the
devices. In a single process each returns at once.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from logic.errors import UsageError

_PIECE = 1 << 28  # bytes that a device takes at a time, at most, of all processes together


def alone() -> bool:
    """Whether this is the only process."""
    return jax.process_count() == 1


def is_writer() -> bool:
    """Whether this is the process that writes and prints."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Returns once all processes are here."""
    if not alone():
        multihost_utils.sync_global_devices(name)


def gather(payload: bytes) -> list[bytes]:
    """What every process brings, in their order."""
    if alone():
        return [payload]
    size = np.array([len(payload) % _PIECE, len(payload) // _PIECE], np.int32)  # 64-bit integers are off
    sizes = [int(rest) + int(pieces) * _PIECE for rest, pieces in multihost_utils.process_allgather(size)]
    parts: list[list[bytes]] = [[] for _ in sizes]
    most = max(1 << 16, _PIECE >> jax.process_count().bit_length())  # every device holds those of all processes
    for begin in range(0, max(sizes), most):
        # A power of two: the sizes differ from generation to generation, and each one compiles a program.
        room = 1 << (min(max(sizes) - begin, most) - 1).bit_length()
        piece = payload[begin : begin + room]
        padded = np.frombuffer(piece.ljust(room, b"\0"), np.uint8)
        for part, row in zip(parts, multihost_utils.process_allgather(padded), strict=True):
            part.append(row.tobytes())
    return [b"".join(part)[:size] for part, size in zip(parts, sizes, strict=True)]


def agreed(number: int, choose: Callable[[list[int]], int]) -> int:
    """One of the processes' numbers, the same in all: their devices may differ in memory."""
    return choose([int(theirs) for theirs in gather(str(number).encode())])


def agree(*flags: bool) -> np.ndarray:
    """The flags of all processes, bool [processes, flags]."""
    return multihost_utils.process_allgather(np.array(flags, bool)).reshape(jax.process_count(), len(flags))


def check_equal(value: Any, what: str) -> None:
    """Raises UsageError if the processes do not find the same."""
    if len(set(gather(hashlib.sha256(json.dumps(value).encode()).digest()))) > 1:
        raise UsageError(f"the processes differ in {what}: give all the same flags, and a directory that all see")


def place(tree: Any, owner: int) -> Any:
    """NumPy arrays as `jax.Array`s that every process sees and whose first replica has the owner's values.

    They are there to be saved, by a writer of first replicas; the others are zeros. They lie in the hosts' memory.
    """
    devices = _host_devices()
    here = devices[jax.process_index()]
    order = [devices[owner], *(d for i, d in enumerate(devices) if i != owner)]
    sharding = NamedSharding(Mesh(np.array(order), "_"), PartitionSpec())
    mine = owner == jax.process_index()

    def one(x: np.ndarray) -> jax.Array:
        local = jax.device_put(x, here) if mine else _zeros(x.shape, x.dtype, here)
        return jax.make_array_from_single_device_arrays(x.shape, sharding, [local])

    return jax.tree.map(one, tree)


@functools.cache
def _host_devices() -> list[jax.Device]:
    """One device of every process's CPU, in order."""
    first = {device.process_index: device for device in reversed(jax.devices("cpu"))}
    return [first[i] for i in range(jax.process_count())]


@functools.lru_cache(maxsize=128)
def _zeros(shape: tuple[int, ...], dtype: np.dtype, device: jax.Device) -> jax.Array:
    """The same for all cells: they take the room of one."""
    return jax.device_put(np.zeros(shape, dtype), device)
