"""Orbax checkpoints in sealed directories: one item per cell, written in the background, read one at a time.

A tree is a nested dict of NumPy arrays. Every item is a directory, CHECKPOINT/CELL/, that orbax alone can read as well.
Nothing is ever unpickled: arrays are stored as bytes, names and shapes as JSON.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from eval.sealed import Sealed


class Writer:
    """Writes one checkpoint at a time; what fails in the background is raised by the next `begin` or `wait`."""

    def __init__(self) -> None:
        self._checkpointer: Any = None
        self._background = ThreadPoolExecutor(max_workers=1)
        self._lock = threading.Lock()  # several threads may call
        self._pending: Future[None] | None = None

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
        import orbax.checkpoint as ocp

        with self._lock:
            self._finish_pending()
            if self._checkpointer is None:
                # Were directories made in the background, and that failed, orbax's threads would wait for ten minutes.
                options = ocp.AsyncOptions(create_directories_asynchronously=False)
                handler = ocp.CompositeCheckpointHandler(composite_options=ocp.CompositeOptions(async_options=options))
                self._checkpointer = ocp.AsyncCheckpointer(handler, async_options=options)
            target.remove()
            items: dict[str, Any] = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
            if record is not None:
                items["record"] = ocp.args.JsonSave(dict(record))
            self._checkpointer.save(target.path, args=ocp.args.Composite(**items))

            def finish() -> None:
                self._checkpointer.wait_until_finished()
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
    return ocp.Checkpointer(ocp.StandardCheckpointHandler()).restore(source.path / name)


def read_record(source: Sealed) -> dict[str, Any]:
    """The item of JSON. Raises Damaged if it is not as it was written."""
    import orbax.checkpoint as ocp

    source.check(lambda file: file.startswith("record/"))
    return ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(source.path / "record")
