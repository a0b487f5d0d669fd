"""Runs whose configurations differ in nothing but the sweep, read as one run with the cells of all."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from loop.cell import Cell
from loop.storage.reader import RunReader
from loop.storage.same_run import completed
from loop.storage.several import SeveralDirectories

_Rows = dict[str, list[dict[str, Any]]]  # of every cell, by its name


class PooledRun(SeveralDirectories):
    """Several runs, none of them with axes. A cell that several have is read where it has got furthest."""

    def __init__(self, runs: Sequence[RunReader]):
        furthest: dict[str, tuple[int, int]] = {}  # by a cell's name: how many rows there are, and in which run
        for i, run in enumerate(runs):
            for name, rows in _by_cell(run).items():
                if name not in furthest or len(rows) > furthest[name][0]:
                    furthest[name] = (len(rows), i)
        super().__init__(runs[0].path, runs, {name: i for name, (_, i) in furthest.items()})

    def config(self) -> dict[str, Any]:
        """That of the first run, with the cycles, ratios and seeds of all."""
        record = super().config()
        sweep = dict(record["config"].get("sweep", {}))
        for part in self.parts:
            for name, values in part.config()["config"].get("sweep", {}).items():
                if isinstance(sweep.get(name), list):
                    sweep[name] = [*sweep[name], *(value for value in values if value not in sweep[name])]
        return {**record, "config": {**record["config"], "sweep": sweep}}


def pool(runs: Sequence[RunReader], say: Callable[[str], None]) -> list[RunReader]:
    """The runs, those whose configurations differ in nothing but the sweep as one; `say` is told of these.

    A run that has a cell of another one with other values stays by itself, as does one that adds no cell: such runs
    are there to be compared.
    """
    groups: list[list[RunReader]] = []
    for run in runs:
        mine, settings = _by_cell(run), _settings(run)
        for group in groups:
            theirs = {name: rows for other in group for name, rows in _by_cell(other).items()}
            if settings != _settings(group[0]) or not mine.keys() - theirs.keys():
                continue
            different = [name for name in mine if name in theirs and not _agree(mine[name], theirs[name])]
            if not different:
                group.append(run)
                break
            both = f"both have {different[0]}, with other values"
            say(f"{run.path} is compared with {group[0].path} and not pooled: {both}")
        else:
            groups.append([run])
    for group in groups:
        if len(group) > 1:
            say(f"one analysis of {', '.join(str(run.path) for run in group)}: they differ in the sweep only")
    return [PooledRun(group) if len(group) > 1 else group[0] for group in groups]


def _settings(run: RunReader) -> str:
    """The configuration but for the sweep."""
    config = completed(run.config()["config"])
    return json.dumps({group: fields for group, fields in config.items() if group != "sweep"}, sort_keys=True)


def _by_cell(run: RunReader) -> _Rows:
    """The rows without what cannot be the same twice, columns of seconds."""
    found: _Rows = {}
    for row in run.rows():
        values = {name: x for name, x in row.items() if not name.endswith("_seconds")}
        found.setdefault(Cell.of(row).name, []).append(values)
    return found


def _agree(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether they are the same as far as both go."""
    return all(a == b for a, b in zip(one, other, strict=False))
