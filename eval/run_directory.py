"""A run's directory: paths, formats, atomic writes. Everything that reads or writes one goes through here.

config.json                     the whole resolved configuration, code version, package versions, devices
metrics.csv, metrics.jsonl      one row per cell and generation; the latter also has the cells' statuses
checkpoints/GENERATION/CELL/    orbax: parameters, training set with provenance, counters
samples/generation_0007/        TFDS (array_record): every sample with its verdicts, one split per cell
report/                         index.html, and figures and tables beside it
log.txt
"""

import csv
import dataclasses
import functools
import io
import itertools
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.cell import Cell
from eval.measures import COLUMNS, KEYS
from logic.command import UsageError
from logic.examples import Examples
from logic.symbols import EOS

if TYPE_CHECKING:
    from logic.dataset import Samples

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "rapidfuzz", "tensorflow-datasets")


@dataclasses.dataclass(frozen=True)
class Generation:
    """What a checkpoint holds of one cell and generation."""

    params: dict  # of the lowest validation loss: the ones that were sampled
    training_set: Examples  # D_t
    counters: dict[str, float]  # losses, steps and costs, under their names in metrics.csv


def _write_atomically(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)


def differing_fields(a: Any, b: Any, prefix: str = "") -> list[str]:
    """Names the leaves in which two nested dicts differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = list(dict.fromkeys([*a, *b]))
        return [line for k in keys for line in differing_fields(a.get(k), b.get(k), f"{prefix}.{k}" if prefix else k)]
    return [] if a == b else [f"{prefix} = {a} there, {b} here"]


class RunDirectory:
    """One run's files. Opening touches nothing; `create` makes the directory, or checks that it is this run's."""

    def __init__(self, path: str | Path):
        self.path = Path(path).absolute()
        self.report = self.path / "report"
        self.log = self.path / "log.txt"
        self._checkpoints: Any = None

    # The configuration.

    def create(self, config: Mapping[str, Any], devices: str) -> None:
        """Makes the directory of a new run, or returns at once if it already holds a run of this configuration.

        Raises:
          UsageError: it holds another run or something else, or it cannot be written.
        """
        config = json.loads(json.dumps(config))  # as it will be read back: tuples are lists
        if (self.path / "config.json").exists():
            different = differing_fields(self.config()["config"], config)
            if different:
                raise UsageError(f"--workdir {self.path} holds a run of another configuration: {'; '.join(different)}")
            return
        try:
            if self.path.exists() and any(self.path.iterdir()):
                raise UsageError(f"--workdir {self.path} is not empty and holds no run: name a new or empty directory")
            self.path.mkdir(parents=True, exist_ok=True)
            record = {"config": config, "code_version": _code_version(), "packages": _versions(), "devices": devices}
            _write_atomically(self.path / "config.json", json.dumps(record, indent=2) + "\n")
        except OSError as error:
            raise UsageError(f"--workdir {self.path} cannot be written: {error.strerror}") from None

    def config(self) -> dict[str, Any]:
        """config.json. Raises UsageError where there is no run."""
        try:
            return json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except OSError:
            raise UsageError(f"--workdir {self.path} holds no run: it has no readable config.json") from None

    # The metrics.

    def rows(self) -> list[dict[str, Any]]:
        """All rows of metrics.jsonl; a cell that ended early has a last row with `status` and no measures."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces both metrics files. The JSON lines are the truth; the CSV is made from them."""
        self._write_tables(rows, COLUMNS)

    def _write_tables(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        _write_atomically(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if "status" not in row)
        _write_atomically(self.path / "metrics.csv", table.getvalue())

    # The parts of a run with further axes.

    def parts(self) -> list["RunDirectory"]:
        """The directories of the run's settings, one per combination of `sweep.axes`; without axes the run itself."""
        axes = self.config()["config"].get("sweep", {}).get("axes", [])
        return [self.part(label) for label in _labels(axes)] if axes else [self]

    def part(self, label: str) -> "RunDirectory":
        """The directory of one setting, such as `model.width=64,sample.temperature=0.8`; `` is the run's own."""
        return RunDirectory(self.path / label) if label else self

    def combine_metrics(self) -> None:
        """Writes the metrics of all parts in one table, with a column for every axis after the keys."""
        fields = [field for field, _ in self.config()["config"]["sweep"]["axes"]]
        rows = []
        for part in self.parts():
            config = part.config()["config"]
            values = {field: functools.reduce(lambda c, name: c[name], field.split("."), config) for field in fields}
            rows += [{**row, **values} for row in part.rows()]
        self._write_tables(rows, (*KEYS, *fields, *COLUMNS[len(KEYS) :]))

    # The samples.

    def samples_path(self, generation: int) -> Path:
        """The TFDS directory of a generation's samples."""
        return self.path / "samples" / f"generation_{generation:04d}"

    def has_samples(self, generation: int) -> bool:
        """Whether a generation's samples are complete."""
        return self.samples_path(generation).exists()

    def write_samples(self, generation: int, samples: Mapping[Cell, "Samples"]) -> None:
        """Writes a generation's samples at once."""
        from logic.dataset import write_samples

        write_samples(self.samples_path(generation), {cell.name: s for cell, s in samples.items()})

    def read_samples(self, cell: Cell, generation: int) -> "Samples":
        """The samples of one cell and generation, in the order they were written."""
        from logic.dataset import read_samples

        return read_samples(self.samples_path(generation), cell.name)

    # The anatomy.

    def write_anatomy(self, generation: int, cells: Sequence[Mapping[str, Any]]) -> None:
        """Writes what eval/anatomy.py says of every cell of a generation."""
        path = self.path / "anatomy" / f"generation_{generation:04d}.json"
        path.parent.mkdir(exist_ok=True)
        _write_atomically(path, "".join(["[\n", ",\n".join(map(json.dumps, cells)), "\n]\n"]))

    def read_anatomy(self, generation: int) -> list[dict[str, Any]]:
        """The anatomies of a generation's cells; none if there is no file."""
        path = self.path / "anatomy" / f"generation_{generation:04d}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    # The checkpoints.

    def _manager(self) -> Any:
        import orbax.checkpoint as ocp

        if self._checkpoints is None:
            self._checkpoints = ocp.CheckpointManager(self.path / "checkpoints")
        return self._checkpoints

    def checkpoints(self) -> list[int]:
        """The generations that have a complete checkpoint, in order."""
        return sorted(self._manager().all_steps()) if (self.path / "checkpoints").exists() else []

    def generations(self, cell: Cell) -> list[int]:
        """The generations of a cell that have a complete checkpoint, in order."""
        return [t for t in self.checkpoints() if (self.path / "checkpoints" / str(t) / cell.name).exists()]

    def save(self, generation: int, cells: Mapping[Cell, Generation]) -> None:
        """Begins to write the checkpoint of a generation; `wait` returns once it is complete."""
        import orbax.checkpoint as ocp

        if generation in self.checkpoints():  # of a run that was killed before it had measured it
            self._manager().delete(generation)
        items = {cell.name: ocp.args.StandardSave(_to_arrays(g)) for cell, g in cells.items()}
        self._manager().save(generation, args=ocp.args.Composite(**items))

    def wait(self) -> None:
        """Waits until the last checkpoint is complete on disk."""
        self._manager().wait_until_finished()

    def load(self, cell: Cell, generation: int) -> Generation:
        """Reads one cell of a checkpoint, whatever devices wrote it. Raises KeyError if the cell has ended before."""
        import orbax.checkpoint as ocp

        if not (self.path / "checkpoints" / str(generation) / cell.name).exists():
            raise KeyError(f"{self.path} has no checkpoint of {cell.name}, generation {generation}")
        args = ocp.args.Composite(**{cell.name: ocp.args.StandardRestore()})
        return _from_arrays(self._manager().restore(generation, args=args)[cell.name])


def _to_arrays(generation: Generation) -> dict[str, Any]:
    train = generation.training_set
    return {
        "params": generation.params,
        "training_set": {
            "symbols": np.frombuffer(b"".join(e + b"\0" for e in train.expressions), np.uint8),  # ended by <eos>
            "source": train.source,
            "generation": train.generation,
            "index": train.index,
            "root": train.root,
        },
        "counters": {name: np.array(value) for name, value in generation.counters.items()},
    }


def _from_arrays(tree: dict[str, Any]) -> Generation:
    train = tree["training_set"]
    expressions = train["symbols"].tobytes().split(bytes([EOS]))[:-1]
    return Generation(
        params=tree["params"],
        training_set=Examples(expressions, train["source"], train["generation"], train["index"], train["root"]),
        counters={name: value.item() for name, value in tree["counters"].items()},
    )


def _labels(axes: Sequence[tuple[str, Sequence[Any]]]) -> list[str]:
    fields = [field for field, _ in axes]
    return [setting_label(fields, values) for values in itertools.product(*(values for _, values in axes))]


def setting_label(fields: Sequence[str], values: Sequence[Any]) -> str:
    """The name of one combination of values of the axes."""
    return ",".join(f"{field}={value}" for field, value in zip(fields, values, strict=True))


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def _code_version() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
