"""Writing a run's directory, which only one process does at a time. Its files: see reader.py."""

import contextlib
import errno
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from logic.errors import UsageError
from logic.language import Verdicts
from loop.blocks import Scores
from loop.cell import Cell
from loop.storage.atomic_files import is_local, made_locally, sweep, write_atomically
from loop.storage.checkpoints import Checkpoint
from loop.storage.curve_files import write_curves
from loop.storage.environment import differing_fields, versions
from loop.storage.lock import locked
from loop.storage.metrics_files import repair_rows, write_rows
from loop.storage.reader import RunReader
from loop.storage.same_run import extended, is_extended
from loop.storage.training_states import States

Warn = Callable[[str], None]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


class RunDirectory(RunReader):
    """One run's files. `create` makes the directory, or checks that it is this run's.

    Whoever writes holds the `lock`, and begins with `repair`. Readers need neither.
    """

    def __init__(self, path: str | os.PathLike[str]):
        super().__init__(path)
        self._states = States(self.path / "state", self._seals)

    def setting(self, name: str) -> "RunDirectory":
        return RunDirectory(self.path / name) if name else self

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

    def create(self, config: dict[str, Any], devices: str, facts: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Makes the directory of a new run, or goes on with it if it already holds a run of this configuration.

        A run of fewer generations, and otherwise the same configuration, is one of more generations from here on.

        Args:
          facts: what readers of the run have to know besides, such as the `columns` of the rows to come: they are
            recorded beside those of older code, if it went before.

        Raises:
          UsageError: it holds another run or something else, or it cannot be written.
        """
        config = json.loads(json.dumps(config))  # as it will be read back: tuples are lists
        if (self.path / "config.json").exists():
            record = self.config()
            found = record
            if is_extended(self.path, record["config"], config):
                record = extended(record, config["loop"]["generations"], devices, versions())
            begun = record.get("columns", [])
            if begun and (new := [name for name in facts.get("columns", []) if name not in begun]):
                record = record | {"columns": [*begun, *new]}
            if record != found:
                with self._refusals():
                    self._write_record(record)
            return
        if odd := re.search(r"[*?[]", str(self.path)):
            raise UsageError(f"--workdir {self.path}: allowed are names without {odd[0]}, a pattern for orbax")
        with self._refusals():
            self._refuse_foreign()
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_record({"config": config, **versions(), "devices": devices, **facts})

    def _write_record(self, record: Mapping[str, Any]) -> None:
        write_atomically(self.path / "config.json", json.dumps(record, indent=2) + "\n")

    def changes(self, devices: str) -> list[str]:
        """In what the run was begun with other code, packages or devices: last digits may differ from here on."""
        record, now = self.config(), {**versions(), "devices": devices}
        return differing_fields({name: record.get(name) for name in now}, now)

    def repair(self, warn: Warn = _to_stderr) -> None:
        """Removes what a killed run left half done, and mends the metrics; needs the lock.

        Raises UsageError, naming the line, for metrics that cannot be mended.
        """
        for folder in (".", "checkpoints", "state", "samples", "anatomy", "training", "checksums", "report"):
            sweep(self.path / folder)
        if not self.axes():  # the table above several settings is made anew at the end
            repair_rows(self.path, self.columns(), warn)

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

    def write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces both metrics files. The JSON lines are the truth; the CSV is made from them."""
        write_rows(self.path, rows, self.columns())

    def write_samples(
        self,
        generation: int,
        samples: Mapping[Cell, tuple[list[bytes], Verdicts] | tuple[list[bytes], Verdicts, Scores, Sequence[bytes]]],
    ) -> None:
        """Writes a generation's samples with all that belongs to them (see Samples) at once, in place of any there."""
        from loop.storage.samples import Samples, write_samples

        sealed = self._samples(generation)
        sealed.remove()
        with made_locally(sealed.path) as path:
            write_samples(
                path, {cell.name: Samples(s[0], s[1], cell, generation, *s[2:]) for cell, s in samples.items()}
            )
        sealed.seal()

    def write_anatomy(self, generation: int, cells: Sequence[Mapping[str, Any]]) -> None:
        """Writes what eval/measures/anatomy.py says of every cell of a generation."""
        path = self._anatomy(generation)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, "".join(["[\n", ",\n".join(map(json.dumps, cells)), "\n]\n"]))

    def write_curves(self, generation: int, curves: Mapping[Cell, np.ndarray]) -> None:
        """Writes the training curves of a generation's cells, as `read_curves` reads them."""
        write_curves(self._curves(generation), generation, curves)

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

    def prune(self, keep: str) -> None:
        """Removes the checkpoints of old generations. Samples stay, and with them all that training sets are made of.

        Args:
          keep: `all`; `last`: only that of generation 0 and the newest two complete ones; `every:K`: these and the
            multiples of K.
        """
        self._checkpoints.prune(keep)

    def remove_from(self, generation: int) -> None:
        """Removes samples, checkpoints, anatomies and curves of this generation and all later ones, and states of later
        ones.

        They follow from another past than the one that is about to be computed.
        """
        self.drop_states(lambda t: t > generation)
        self._checkpoints.remove_from(generation)
        for t in self._sampled():
            if t >= generation:
                self._samples(t).remove()
                self._anatomy(t).unlink(missing_ok=True)
                self._curves(t).unlink(missing_ok=True)

    def _sampled(self) -> list[int]:
        """The generations of which there are samples, complete or not, an anatomy or curves."""
        folders = (self.path / "samples", self._seals, self.path / "anatomy", self.path / "training")
        names = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
        found = [re.fullmatch(r"(?:generation|samples)_(\d+)(?:\.json|\.csv)?", name) for name in names]
        return sorted({int(match[1]) for match in found if match})

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

    def state_steps(self, generation: int) -> set[int]:
        """The steps at which there are complete states of a generation."""
        return self._states.steps(generation)

    def load_state(
        self,
        generation: int,
        warn: Warn = _to_stderr,
        wanted: Callable[[Cell], bool] = lambda cell: True,
        steps: Collection[int] | None = None,
    ) -> tuple[int, dict[Cell, dict]] | None:
        """(step, trees of the wanted cells) of a generation's newest complete state; `warn` hears of damaged ones.

        Args:
          steps: at one of these; None: at any.
        """
        return self._states.load(generation, warn, wanted, self.state_steps(generation) if steps is None else steps)

    def drop_states(self, unwanted: Callable[[int], bool]) -> None:
        """Removes the states of such generations."""
        self._states.drop(unwanted)
