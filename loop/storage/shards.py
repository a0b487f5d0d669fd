"""A run in shards: several processes, each with some of the cells in a directory of its own, read as one run.

WORKDIR/
  config.json                      the whole sweep, as of a run in one go
  shards.json                      which shard has which cell; of a run with axes also in every setting's directory
  shard_0000_of_0008/ …            each an ordinary run's directory: checkpoints, samples, metrics of its cells
  metrics.csv metrics.jsonl report/   of all shards together: made when the last one ends, and by eval.report
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logic.errors import UsageError
from loop.cell import Cell
from loop.storage.atomic_files import write_atomically
from loop.storage.reader import RunReader
from loop.storage.several import SeveralDirectories

_FILE = "shards.json"
_FILE_OF_0_1 = "shares.json"  # version 0.1 called them shares


def shard_name(index: int, count: int) -> str:
    """The directory of a shard."""
    return f"shard_{index:04d}_of_{count:04d}"


@dataclasses.dataclass(frozen=True)
class Layout:
    """What shards.json says."""

    shards: tuple[str, ...]  # directories, relative to the one that holds the file
    owner: Mapping[str, int]  # name of a cell -> its shard; in the order of the sweep

    def write(self, directory: Path) -> None:
        """Writes the file; processes that write at once write the same."""
        record = {"shards": self.shards, "cells": self.owner}
        write_atomically(directory / _FILE, json.dumps(record, indent=1) + "\n")


def read_layout(directory: Path) -> Layout | None:
    """The layout of a run in shards, None of another run. Raises UsageError for a file that is not to be understood."""
    for name in (_FILE, _FILE_OF_0_1):
        try:
            record = json.loads((directory / name).read_text(encoding="utf-8"))
            return Layout(tuple(record.get("shards") or record["shares"]), dict(record["cells"]))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{directory / name} cannot be read: {error}") from None
    return None


def open_run(path: str | Path) -> RunReader:
    """A run's directory, to be read, whether it was run in one go or in shards."""
    directory = RunReader(path)
    layout = read_layout(directory.path)
    return directory if layout is None else ShardedRun(path, layout)


class ShardedRun(SeveralDirectories):
    """A run in shards, to be read like any other. Every cell's files are in the directory of its shard."""

    def __init__(self, path: str | Path, layout: Layout):
        whole = RunReader(path).path
        super().__init__(path, [RunReader(_follow(whole, name)) for name in layout.shards], layout.owner)
        self.layout = layout

    @property
    def shards(self) -> list[RunReader]:
        """Their directories."""
        return self.parts

    def setting(self, name: str) -> RunReader:
        """The directory of one setting, in shards as well; `` is the run's own."""
        return open_run(self.path / name) if name else self

    def unfinished(self) -> dict[int, str]:
        """The shards that are not at their end, with how far they are."""
        found: dict[int, str] = {}
        for setting in self.settings():
            if not isinstance(setting, ShardedRun):
                raise UsageError(f"{setting.path} has no {_FILE}: start a shard of {self.path} again")
            for i in range(len(setting.shards)):
                how = setting._unfinished(i)
                if how:
                    found.setdefault(i, how)
        return dict(sorted(found.items()))

    def _unfinished(self, index: int) -> str:
        """How far a shard of this setting is; nothing if it is at its end."""
        total = self.config()["config"]["loop"]["generations"]
        rows = self.shards[index].rows()
        ended = {_name(row) for row in rows if "status" in row}
        alive = [name for name, owner in self.layout.owner.items() if owner == index and name not in ended]
        reached = 1 + max((row["generation"] for row in rows), default=-1)
        return f"{reached} of {total} generations" if alive and reached < total else ""

    def rows(self) -> list[dict[str, Any]]:
        """All rows of all shards; of a run with axes those of its one table, which is made at the end."""
        return RunReader.rows(self) if self.axes() else super().rows()


def _name(row: Mapping[str, Any]) -> str:
    """The name of a row's cell."""
    return Cell.of(row).name


def _follow(path: Path, relative: str) -> Path:
    """`path / relative` without a `..` in it, which object stores do not know."""
    for name in relative.split("/"):
        path = path.parent if name == ".." else path / name
    return path
