"""A run's directory: paths and formats. Everything that reads or writes one goes through here.

config.json                     the whole resolved configuration, code version, package versions, devices
metrics.csv, metrics.jsonl      one row per cell and generation; the latter also has the cells' statuses
checkpoints/GENERATION/CELL/    orbax: parameters, training set with provenance, counters
state/                          orbax: the training state within a generation, see loop/storage/training_states.py
samples/generation_0007/        TFDS (array_record): every sample with its verdicts, one split per cell
anatomy/generation_0007.json    distributions, most frequent samples, lineage
checksums/                      of every checkpoint, state and generation of samples, see loop/storage/checksums.py
report/                         index.html, and figures and tables beside it
log.txt
.lock                           held by the one process that writes
"""

import contextlib
import errno
import functools
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logic.errors import UsageError
from loop.cell import KEYS, Cell
from loop.storage.atomic_files import is_local, locate, made_locally, read_locally, sweep, write_atomically
from loop.storage.checkpoints import Checkpoint, Checkpoints
from loop.storage.checksums import Damaged, Sealed
from loop.storage.environment import differing_fields, versions
from loop.storage.lock import locked
from loop.storage.metrics_files import read_rows, repair_rows, write_rows
from loop.storage.training_states import States

if TYPE_CHECKING:
    from loop.storage.samples import Samples

__all__ = ["Checkpoint", "Damaged", "RunDirectory", "differing_fields", "setting_name"]

Warn = Callable[[str], None]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


class RunDirectory:
    """One run's files. Opening touches nothing; `create` makes the directory, or checks that it is this run's.

    Whoever writes holds the `lock`, and begins with `repair`. Readers need neither.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = locate(path)  # local, or gs:// and the like
        self.report = self.path / "report"
        self.log = self.path / "log.txt"
        self._seals = self.path / "checksums"
        self._checkpoints = Checkpoints(self.path / "checkpoints", self._seals)
        self._states = States(self.path / "state", self._seals)

    # The one writer.

    @contextlib.contextmanager
    def lock(self, warn: Warn = _to_stderr) -> Iterator[None]:
        """Makes the directory if it is missing, and keeps all other writers out; an object store has no locks.

        Raises UsageError if another process writes here, or if the directory is no run's or cannot be written.
        """
        with self._refusals():
            self._refuse_foreign()
            self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            if is_local(self.path):
                with self._refusals():
                    stack.enter_context(locked(self.path / ".lock", f"--workdir {self.path}", warn))
            yield

    def create(self, config: Mapping[str, Any], devices: str, columns: Sequence[str] = ()) -> None:
        """Makes the directory of a new run, or goes on with it if it already holds a run of this configuration.

        `columns` are those of the rows to come. They are recorded: beside those of older code, if it went before.

        Raises:
          UsageError: it holds another run or something else, or it cannot be written.
        """
        config = json.loads(json.dumps(config))  # as it will be read back: tuples are lists
        if (self.path / "config.json").exists():
            record = self.config()
            different = differing_fields(record["config"], config)
            if different:
                raise UsageError(f"--workdir {self.path} holds a run of another configuration: {'; '.join(different)}")
            begun = record.get("columns", [])
            if begun and (new := [name for name in columns if name not in begun]):
                with self._refusals():
                    self._write_record(record | {"columns": [*begun, *new]})
            return
        with self._refusals():
            self._refuse_foreign()
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_record({"config": config, **versions(), "devices": devices, "columns": list(columns)})

    def _write_record(self, record: Mapping[str, Any]) -> None:
        write_atomically(self.path / "config.json", json.dumps(record, indent=2) + "\n")

    def changes(self, devices: str) -> list[str]:
        """In what the run was begun with other code, packages or devices: last digits may differ from here on."""
        record = self.config()
        begun = {name: value for name, value in record.items() if name not in ("config", "columns")}
        return differing_fields(begun, {**versions(), "devices": devices})

    def repair(self, warn: Warn = _to_stderr) -> None:
        """Removes what a killed run left half done, and mends the metrics; needs the lock.

        Raises UsageError, naming the line, for metrics that cannot be mended.
        """
        for folder in (".", "checkpoints", "state", "samples", "anatomy", "checksums", "report"):
            sweep(self.path / folder)
        if not self._axes():  # the table above several settings is made anew at the end
            repair_rows(self.path, self._columns(), warn)

    def _refuse_foreign(self) -> None:
        """Raises UsageError for a directory with files that are not from here."""
        if (self.path / "config.json").exists() or not self.path.exists():
            return
        # Of a run that was killed or is starting right now, or that launch.slurm has submitted.
        ours = re.compile(r"\.lock|\.config\.json\.\w+\.tmp|slurm")
        foreign = any(not ours.fullmatch(path.name) for path in self.path.iterdir())
        if foreign and not (self.path / "config.json").exists():  # asked again: that run may have written it by now
            raise UsageError(f"--workdir {self.path} is not empty and holds no run: name a new or empty directory")

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # no mistake: launch/faults.py
            raise UsageError(f"--workdir {self.path} cannot be written: {error.strerror or error}") from None

    # The configuration.

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

    def _axes(self) -> Sequence[tuple[str, Sequence[Any]]]:
        return self.config()["config"].get("sweep", {}).get("axes", [])

    def _columns(self) -> Sequence[str]:
        """The columns that the run recorded; none if it is of version 0.1, which did not."""
        return self.config().get("columns", [])

    # The metrics.

    def rows(self) -> list[dict[str, Any]]:
        """All rows of metrics.jsonl; a cell that ended early has a last row with `status` and no measures.

        Raises UsageError, naming file and line, for one that cannot be read; `repair` mends a last one.
        """
        return read_rows(self.path)

    def write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces both metrics files. The JSON lines are the truth; the CSV is made from them."""
        write_rows(self.path, rows, self._columns())

    # The settings of a run with further axes.

    def settings(self) -> list["RunDirectory"]:
        """The directories of the run's settings, one per combination of `sweep.axes`; without axes the run itself."""
        axes = self._axes()
        return [self.setting(name) for name in _setting_names(axes)] if axes else [self]

    def setting(self, name: str) -> "RunDirectory":
        """The directory of one setting, such as `model.width=64,sample.temperature=0.8`; `` is the run's own."""
        return RunDirectory(self.path / name) if name else self

    def homes(self) -> list["RunDirectory"]:
        """The directories with the files of the cells: this one, or those of a run's shards (shards.py)."""
        return [self]

    def combine_metrics(self) -> None:
        """Writes the metrics of all settings in one table, with a column for every axis after the keys."""
        fields = [field for field, _ in self._axes()]
        rows = []
        for setting in self.settings():
            config = setting.config()["config"]
            values = {field: functools.reduce(lambda c, name: c[name], field.split("."), config) for field in fields}
            rows += [{**row, **values} for row in setting.rows()]
        write_rows(self.path, rows, (*KEYS, *fields, *self._columns()))

    # The samples.

    def samples_path(self, generation: int) -> Path:
        """The TFDS directory of a generation's samples."""
        return self.path / "samples" / f"generation_{generation:04d}"

    def _samples(self, generation: int) -> Sealed:
        return Sealed(self.samples_path(generation), self._seals / f"samples_{generation:04d}.json")

    def has_samples(self, generation: int) -> bool:
        """Whether a generation's samples are complete."""
        return self._samples(generation).exists()

    def write_samples(self, generation: int, samples: Mapping[Cell, "Samples"]) -> None:
        """Writes a generation's samples at once, in place of any that are there."""
        from loop.storage.samples import write_samples

        sealed = self._samples(generation)
        sealed.remove()
        with made_locally(sealed.path) as path:
            write_samples(path, {cell.name: s for cell, s in samples.items()})
        sealed.seal()

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

    # The anatomy.

    def _anatomy(self, generation: int) -> Path:
        return self.path / "anatomy" / f"generation_{generation:04d}.json"

    def write_anatomy(self, generation: int, cells: Sequence[Mapping[str, Any]]) -> None:
        """Writes what eval/measures/anatomy.py says of every cell of a generation."""
        path = self._anatomy(generation)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, "".join(["[\n", ",\n".join(map(json.dumps, cells)), "\n]\n"]))

    def read_anatomy(self, generation: int) -> list[dict[str, Any]]:
        """The anatomies of a generation's cells; none if there is no file. Raises Damaged if it cannot be read."""
        path = self._anatomy(generation)
        try:
            return json.loads(path.read_bytes()) if path.exists() else []
        except ValueError:
            raise Damaged(f"{path} is damaged: it is no JSON") from None

    # The checkpoints.

    def checkpoints(self) -> list[int]:
        """The generations that have a complete checkpoint, in order."""
        return self._checkpoints.complete()

    def generations(self, cell: Cell) -> list[int]:
        """The generations of a cell that have a complete checkpoint, in order."""
        return [t for t in self.checkpoints() if (self._checkpoints.sealed(t).path / cell.name).exists()]

    def stored(self, generation: int) -> bool:
        """Whether samples and checkpoint of a generation are complete: then only measuring it can be missing."""
        return self.has_samples(generation) and self._checkpoints.sealed(generation).exists()

    def save(self, generation: int, cells: Mapping[Cell, Checkpoint]) -> None:
        """Begins to write the checkpoint of a generation; `wait` returns once it is complete.

        Several processes do so together: see loop/storage/orbax_io.py.
        """
        self._checkpoints.save(generation, cells)

    def wait(self) -> None:
        """Waits until the last checkpoint and the last state are complete on disk; raises what went wrong."""
        self._checkpoints.writer.wait()
        self._states.writer.wait()

    def load(self, cell: Cell, generation: int) -> Checkpoint:
        """Reads one cell of a checkpoint, whatever devices wrote it.

        Raises KeyError if the cell has ended before, Damaged if its files are not as they were written.
        """
        return self._checkpoints.load(cell, generation)

    def prune(self, keep: str) -> None:
        """Removes the checkpoints of old generations. Samples stay, and with them all that training sets are made of.

        Args:
          keep: `all`; `last`: only the newest two complete ones; `every:K`: these and the multiples of K.
        """
        self._checkpoints.prune(keep)

    # The state within a generation.

    def save_state(self, generation: int, step: int, cells: Mapping[Cell, dict]) -> None:
        """Begins to write the training state of a step, once the one before is complete. The generation's newest two
        are kept.

        Args:
          generation: whose models are being trained.
          step: that they have reached.
          cells: nested dicts of NumPy arrays; they may change again when this returns.
        """
        self._states.save((generation, step), cells)

    def load_state(
        self, generation: int, warn: Warn = _to_stderr, wanted: Callable[[Cell], bool] = lambda cell: True
    ) -> tuple[int, dict[Cell, dict]] | None:
        """(step, trees of the wanted cells) of a generation's newest complete state; `warn` hears of damaged ones."""
        return self._states.load(generation, warn, wanted)

    def drop_states(self, unwanted: Callable[[int], bool]) -> None:
        """Removes the states of such generations."""
        self._states.drop(unwanted)


def _setting_names(axes: Sequence[tuple[str, Sequence[Any]]]) -> list[str]:
    fields = [field for field, _ in axes]
    return [setting_name(fields, values) for values in itertools.product(*(values for _, values in axes))]


def setting_name(fields: Sequence[str], values: Sequence[Any]) -> str:
    """The name of one combination of values of the axes."""
    return ",".join(f"{field}={value}" for field, value in zip(fields, values, strict=True))
