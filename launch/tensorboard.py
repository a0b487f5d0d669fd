"""TensorBoard's event files of a run, one TensorBoard run per cell, made from what the run's directory holds.

tensorboard/CELL/events.out.tfevents.SECONDS.HOST.generation_0007     a file per generation: TensorBoard joins them

`training/…` are the curves, against the optimiser steps of all generations, one after another; `measures/…` are the
columns of metrics.csv, against the generation.
"""

import importlib.util
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from logic.errors import UsageError
from loop.cell import KEYS, Cell
from loop.storage.atomic_files import is_local
from loop.storage.curve_files import EVALUATION
from loop.storage.run_directory import RunDirectory


def check_tensorboard(path: Path) -> None:
    """Raises UsageError where event files cannot be written."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise UsageError("--tensorboard needs the package tensorboardX, which is not installed")
    if not is_local(path):
        raise UsageError(f"--tensorboard writes to file systems only: --workdir is {path}")


def write_events(directory: RunDirectory, newest: int) -> None:
    """Writes the events of generation `newest`, and of those before it that have none; removes those of later ones.

    So a run that goes on, or is given the flag only now, has the events of its whole past.
    """
    folder = directory.path / "tensorboard"
    for path in folder.glob("*/.events.*"):  # of a killed run
        path.unlink()
    there: set[tuple[str, int]] = set()
    for path in folder.glob("*/events.*.generation_*"):
        generation = int(path.name.rpartition("_")[2])
        if generation >= newest:
            path.unlink()
        else:
            there.add((path.parent.name, generation))
    missing: dict[int, list[dict[str, Any]]] = {}
    for row in directory.rows():
        if (Cell.of(row).name, row["generation"]) not in there:
            missing.setdefault(row["generation"], []).append(row)
    max_steps = directory.config()["config"]["train"]["max_steps"]
    for generation, rows in missing.items():
        curves = directory.read_curves(generation)
        for row in rows:
            cell = Cell.of(row)
            curve = curves[cell].tolist() if cell in curves else []
            _write(folder / cell.name, generation, _scalars(row, curve, generation * max_steps))


def _scalars(row: Mapping[str, Any], curve: Iterable[list[float]], begin: int) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of all that there is of a cell and generation."""
    for step, *losses in curve:
        for name, loss in zip(EVALUATION[1:], losses, strict=True):
            yield f"training/{name}", loss, begin + int(step)
    for name, value in row.items():
        if name not in KEYS and isinstance(value, int | float) and math.isfinite(value):
            yield f"measures/{name}", value, row["generation"]


def _write(folder: Path, generation: int, scalars: Iterable[tuple[str, float, int]]) -> None:
    """One file, which has its name once it is whole.

    tensorboardX's SummaryWriter would write from a thread of its own, which keeps silent about a full disk.
    """
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import scalar

    folder.mkdir(parents=True, exist_ok=True)
    suffix = f".generation_{generation:04d}"
    writer = EventsWriter(str(folder / ".events"), suffix)
    for name, value, step in scalars:
        writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
    writer.close()
    for path in folder.glob(f".events.*{suffix}"):
        path.replace(path.with_name(path.name[1:]))
