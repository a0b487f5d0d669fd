"""Orbax checkpoints in sealed directories: one item per cell, written in the background, read one at a time.

A tree is a nested dict of NumPy arrays. Every item is a directory, CHECKPOINT/CELL/, that orbax alone can read as well.
Nothing is ever unpickled: arrays are stored as bytes, names and shapes as JSON.

Several processes write a checkpoint together: all begin the same ones in the same order, with trees of equal structure.
Of a leaf that is a `jax.Array` the first replica is written, by the process that has it; a NumPy array is written by
the first process, which also seals.
"""

import functools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from loop.storage.checksums import Sealed


class Writer:
    """Writes one checkpoint at a time; what fails in the background is raised by the next `begin` or `wait`.

    Of several processes, writers of the same `name` wait for each other: no two writers of one process may share it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._checkpointer: Any = None
        self._background = ThreadPoolExecutor(max_workers=1)
        self._lock = threading.Lock()  # several threads may call
        self._pending: Future[None] | None = None

    @classmethod
    def of(cls, directory: Path) -> "Writer":
        """The one that writes this directory of a run; settings of a sweep write at the same time."""
        return cls(f"{directory.parent.name}/{directory.name}")

    def begin(
        self,
        target: Sealed,
        trees: Mapping[str, dict],
        record: Mapping[str, Any] | None = None,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Begins to write, once the checkpoint before is complete. The arrays are free again when this returns.

        `record` is a further item, named `record`, of JSON; `then` is called when the new checkpoint is complete.
        """
        import jax
        import orbax.checkpoint as ocp

        first = jax.process_index() == 0
        with self._lock:
            self._finish_pending()
            if self._checkpointer is None:
                # Were directories made in the background, and that failed, orbax's threads would wait for ten minutes.
                options = ocp.AsyncOptions(create_directories_asynchronously=False)
                several = ocp.options.MultiprocessingOptions()
                if jax.process_count() > 1:
                    # Named, orbax waits through the network, not by a collective, which only the main thread may call.
                    everyone = set(range(jax.process_count()))
                    several = ocp.options.MultiprocessingOptions(
                        active_processes=everyone, barrier_sync_key_prefix=self._name
                    )
                handler = ocp.CompositeCheckpointHandler(
                    composite_options=ocp.CompositeOptions(async_options=options, multiprocessing_options=several)
                )
                if jax.process_count() > 1:
                    _write_first_replicas()
                self._checkpointer = ocp.AsyncCheckpointer(
                    handler, async_options=options, multiprocessing_options=several
                )
            if first:
                target.remove()
            items: dict[str, Any] = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
            if record is not None:
                items["record"] = ocp.args.JsonSave(dict(record))
            self._checkpointer.save(target.path, args=ocp.args.Composite(**items))

            def finish() -> None:
                self._checkpointer.wait_until_finished()
                if first:
                    target.seal()
                    then()

            self._pending = self._background.submit(finish)

    def wait(self) -> None:
        """Waits until the checkpoint begun last is complete on disk; raises what went wrong with it."""
        with self._lock:
            self._finish_pending()

    def after(self, act: Callable[[], None]) -> None:
        """Calls `act` in the background's thread, when nothing is being written, and waits for it."""
        self._background.submit(act).result()

    def _finish_pending(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


def read_tree(source: Sealed, name: str) -> dict[str, Any]:
    """One item of a checkpoint, as NumPy arrays, whatever devices wrote it; only its own files are read and checked.

    Raises Damaged if they are not as they were written.
    """
    import orbax.checkpoint as ocp

    source.check(lambda file: file.startswith(f"{name}/"))
    # The handler alone: a checkpointer would wait for all processes.
    reader = ocp.PyTreeCheckpointHandler(type_handler_registry=_as_numpy())
    return reader.restore(source.path / name, args=ocp.args.PyTreeRestore())


@functools.cache
def _as_numpy() -> Any:
    """Reads all leaves as NumPy arrays, also those that devices wrote.

    To ask orbax for that leaf by leaf, one would have to know their names: it opens every array to tell them.
    """
    import jax
    from orbax.checkpoint import type_handlers

    class Stored(type_handlers.NumpyHandler):
        _array_metadata_store = None  # orbax warns where a handler of devices' arrays has none at all

        def typestr(self) -> str:
            return type_handlers.ArrayHandler().typestr()

    return type_handlers.create_type_handler_registry((np.ndarray, type_handlers.NumpyHandler()), (jax.Array, Stored()))


def read_record(source: Sealed) -> dict[str, Any]:
    """The item of JSON. Raises Damaged if it is not as it was written."""
    import orbax.checkpoint as ocp

    source.check(lambda file: file.startswith("record/"))
    return ocp.JsonCheckpointHandler().restore(source.path / "record")


def _write_first_replicas() -> None:
    """By default, orbax lets every replica write a part."""
    import jax
    import orbax.checkpoint as ocp
    from absl import logging

    arrays = ocp.type_handlers.ArrayHandler(use_replica_parallel=False, enable_write_sharding_file=False)
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # it warns that the default handler is replaced, which is what we want
    ocp.type_handlers.register_type_handler(jax.Array, arrays, override=True)
    logging.set_verbosity(before)
