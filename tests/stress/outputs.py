"""Everything that a run leaves, compared bit for bit with another run's; only wall times may differ."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from loop.cell import Cell
from loop.storage.checksums import Damaged
from loop.storage.run_directory import RunDirectory

TIMES = ("train_seconds", "sample_seconds")
# Orbax names its data at random, and how many files it splits them into depends on time.
_DATA = re.compile(r"(checkpoints/.*/)d/[0-9a-f]{32}$")
# What holds times, or such files' checksums: compared by what they say, below, or not comparable (the log).
_WITH_TIMES = {"metrics.csv", "metrics.jsonl", "report/measures.csv", "report/index.html", "config.json", "log.txt"}


REFUSED = "refused as damaged"


def differences(ours: RunDirectory, reference: RunDirectory) -> list[str]:
    """What differs, one line each; none if the two hold the same. Lines that begin with `REFUSED` are of what cannot
    be read since its checksums are wrong."""
    found = []
    mine, theirs = _files(ours.path), _files(reference.path)
    found += [f"left over: {name}" for name in sorted(mine - theirs)]
    found += [f"missing: {name}" for name in sorted(theirs - mine)]
    if found:
        return found
    same = [name for name in mine if name.startswith(("anatomy/", "training/", "report/")) and name not in _WITH_TIMES]
    found += [n for n in sorted(same) if (ours.path / n).read_bytes() != (reference.path / n).read_bytes()]
    for name in ("metrics.csv", "report/measures.csv"):
        if _table(ours.path / name) != _table(reference.path / name):
            found.append(name)
    if _lines(ours.path) != _lines(reference.path):
        found.append("metrics.jsonl")
    if ours.config()["config"] != reference.config()["config"]:
        found.append("config.json")
    if not (ours.path / "report" / "index.html").read_text().rstrip().endswith("</html>"):
        found.append("report/index.html")
    for row in reference.rows():
        cell, t = Cell.of(row), row["generation"]
        for what, read in (("checkpoint", _checkpoint), ("samples", _samples)):
            try:
                if not _equal(read(ours, cell, t), read(reference, cell, t)):
                    found.append(f"{what} {t} of {cell.name}")
            except Damaged as error:
                found.append(f"{REFUSED}: {error}")
    return found


def _files(directory: Path) -> set[str]:
    """All paths, empty directories included, but for that of the states, which is made when one is saved."""
    found = {_DATA.sub(r"\1d/*", path.relative_to(directory).as_posix()) for path in directory.rglob("*")}
    return found - {"state"}


def _table(path: Path) -> list[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(path.read_text()))
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def _lines(directory: Path) -> list[str]:
    """Every line as it is written, times apart."""
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.dumps({k: v for k, v in json.loads(line).items() if k not in TIMES}) for line in lines]


def _checkpoint(directory: RunDirectory, cell: Cell, generation: int) -> dict[str, Any]:
    stored = directory.load(cell, generation)
    train = stored.training_set
    return {
        "params": stored.params,
        "expressions": train.expressions,
        "provenance": {name: getattr(train, name) for name in ("source", "generation", "index", "root")},
        "counters": {k: np.array(v) for k, v in stored.counters.items() if k not in TIMES},
        "held_out_nll": stored.held_out_nll,
    }


def _samples(directory: RunDirectory, cell: Cell, generation: int) -> dict[str, Any]:
    samples = directory.read_samples(cell, generation)
    return {
        "expressions": samples.expressions,
        "verdicts": dict(samples.verdicts),
        "keys": {"cell": [samples.cell.keys], "generation": [samples.generation]},
    }


def _equal(a: Any, b: Any) -> bool:
    """The same names, types, shapes and bits."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b
