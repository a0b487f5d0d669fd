"""Reading a run's directory: every path and format. Opening touches nothing.

config.json                     the whole resolved configuration, code version, package versions, devices
metrics.csv, metrics.jsonl      one row per cell and generation; the latter also has the cells' statuses
checkpoints/GENERATION/CELL/    orbax: parameters, training set with provenance, counters
state/                          orbax: the training state within a generation, see training_states.py
samples/generation_0007/        TFDS (array_record): every sample with its verdicts, one split per cell
anatomy/generation_0007.json    distributions, most frequent samples, lineage
training/generation_0007.csv    training curves: the losses of every evaluation, see curve_files.py
checksums/                      of every checkpoint, state and generation of samples, see checksums.py
report/                         index.html, and figures and tables beside it
log.txt
.lock                           held by the one process that writes
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from logic.errors import UsageError
from loop.cell import Cell
from loop.storage.atomic_files import locate, read_locally
from loop.storage.checkpoints import Checkpoint, Checkpoints
from loop.storage.checksums import Damaged, Sealed
from loop.storage.curve_files import read_curves
from loop.storage.metrics_files import read_rows
from loop.storage.settings import Axes, setting_names

if TYPE_CHECKING:
    from loop.storage.samples import Samples


class RunReader:
    """One run's files, to be read; RunDirectory writes them as well, ShardedRun reads several directories as one."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = locate(path)  # local, or gs:// and the like
        self.report = self.path / "report"
        self.log = self.path / "log.txt"
        self._seals = self.path / "checksums"
        self._checkpoints = Checkpoints(self.path / "checkpoints", self._seals)

    def config(self) -> dict[str, Any]:
        """config.json. Raises UsageError where there is no run, or a damaged one."""
        path = self.path / "config.json"
        try:
            record = json.loads(path.read_bytes())
            if isinstance(record.get("config"), dict):
                return record
        except OSError:
            raise UsageError(f"--workdir {self.path} holds no run: it has no readable config.json") from None
        except (ValueError, AttributeError):
            pass
        raise Damaged(f"{path} is damaged: it is no configuration of a run")

    def axes(self) -> Axes:
        """`sweep.axes` of the configuration."""
        return self.config()["config"].get("sweep", {}).get("axes", [])

    def rows(self) -> list[dict[str, Any]]:
        """All rows of metrics.jsonl; a cell that ended early has a last row with `status` and no measures.

        Raises UsageError, naming file and line, for one that cannot be read; `repair` mends a last one.
        """
        return read_rows(self.path)

    def has_results(self) -> bool:
        """Whether any cell has finished a generation."""
        return any("status" not in row for row in self.rows())

    def columns(self) -> list[str]:
        """The columns that the run recorded; none if it is of version 0.1, which did not."""
        return self.config().get("columns", [])

    def settings(self) -> list["RunReader"]:
        """The directories of the run's settings, one per combination of `sweep.axes`; without axes the run itself."""
        axes = self.axes()
        return [self.setting(name) for name in setting_names(axes)] if axes else [self]

    def setting(self, name: str) -> "RunReader":
        """The directory of one setting, such as `model.width=64,sample.temperature=0.8`; `` is the run's own."""
        return RunReader(self.path / name) if name else self

    def shard_directories(self) -> list["RunReader"]:
        """The directories with the files of the cells: this one, or those of a run's shards (shards.py)."""
        return [self]

    def samples_path(self, generation: int) -> Path:
        """The TFDS directory of a generation's samples."""
        return self.path / "samples" / f"generation_{generation:04d}"

    def _samples(self, generation: int) -> Sealed:
        return Sealed(self.samples_path(generation), self._seals / f"samples_{generation:04d}.json")

    def has_samples(self, generation: int) -> bool:
        """Whether a generation's samples are complete."""
        return self._samples(generation).exists()

    def check_samples(self, cell: Cell, generation: int) -> None:
        """Raises Damaged if the files that hold a cell's samples are not as they were written."""
        from loop.storage.samples import belongs_to

        self._samples(generation).check(lambda name: belongs_to(name, cell.name))

    def read_samples(self, cell: Cell, generation: int) -> "Samples":
        """The samples of one cell and generation, in the order they were written.

        Raises FileNotFoundError if they are not complete, KeyError if the cell has none, Damaged if they were altered.
        """
        from loop.storage.samples import read_samples

        if not self.has_samples(generation):
            raise FileNotFoundError(f"{self.samples_path(generation)}: no complete data set of samples is there")
        self.check_samples(cell, generation)
        with read_locally(self.samples_path(generation)) as path:
            return read_samples(path, cell.name)

    def _anatomy(self, generation: int) -> Path:
        return self.path / "anatomy" / f"generation_{generation:04d}.json"

    def read_anatomy(self, generation: int) -> list[dict[str, Any]]:
        """The anatomies of a generation's cells; none if there is no file. Raises Damaged if it cannot be read."""
        path = self._anatomy(generation)
        try:
            return json.loads(path.read_bytes()) if path.exists() else []
        except ValueError:
            raise Damaged(f"{path} is damaged: it is no JSON") from None

    def _curves(self, generation: int) -> Path:
        return self.path / "training" / f"generation_{generation:04d}.csv"

    def read_curves(self, generation: int) -> dict[Cell, np.ndarray]:
        """The training curves of a generation's cells, float64 [evaluations, 4], columns as in `EVALUATION` of
        curve_files.py; none if there is no file. Raises Damaged if it cannot be read."""
        return read_curves(self._curves(generation))

    def checkpoints(self) -> list[int]:
        """The generations that have a complete checkpoint, in order."""
        return self._checkpoints.complete()

    def generations(self, cell: Cell) -> list[int]:
        """The generations of a cell that have a complete checkpoint, in order."""
        return [t for t in self.checkpoints() if (self._checkpoints.sealed(t).path / cell.name).exists()]

    def load(self, cell: Cell, generation: int) -> Checkpoint:
        """Reads one cell of a checkpoint, whatever devices wrote it.

        Raises KeyError if the cell has ended before, Damaged if its files are not as they were written.
        """
        return self._checkpoints.load(cell, generation)
