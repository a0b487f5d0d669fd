"""Runs that differ in the sweep only are read as one; others stay apart."""

import dataclasses

import pytest

from logic.boolean.language import Boolean
from logic.boolean.symbols import encode
from loop.cell import KEYS, Cell
from loop.config import Config, SweepConfig, TrainConfig
from loop.storage.pooled import PooledRun, pool
from loop.storage.run_directory import RunDirectory
from loop.storage.shards import open_run

LANGUAGE = Boolean()


def make_run(path, ratios, seeds, generations=2, value=0.5, **fields):
    """A run with rows and samples that tell what they are of, seconds that are never the same, and no model."""
    config = Config(sweep=SweepConfig(("full",), ratios, seeds), **fields)
    run = RunDirectory(path)
    columns = [*KEYS, "unique_fraction", "train_seconds"]
    run.create(dataclasses.asdict(config), "cpu", {"columns": columns})
    rows = []
    for t in range(generations):
        for cell in config.cells():
            row = {**cell.keys, "generation": t, "unique_fraction": value + cell.seed, "train_seconds": hash(path) % 97}
            rows.append(row)
        run.write_anatomy(t, [{**cell.keys, "generation": t, "of": cell.name} for cell in config.cells()])
        samples = {c: encode([f"{'not ' * c.seed}True"]) for c in config.cells()}
        run.write_samples(t, {cell: (s, LANGUAGE.verify(s)) for cell, s in samples.items()})
    run.write_rows(rows)
    return open_run(path)


def names(rows):
    return [(Cell.of(row).name, row["generation"]) for row in rows]


def test_cells_of_several_runs_are_read_as_those_of_one(tmp_path):
    parts = [
        make_run(tmp_path / "a", (0.0,), (0, 1)),
        make_run(tmp_path / "b", (0.0, 0.5), (1, 2)),
        make_run(tmp_path / "c", (0.0,), (3,)),
    ]
    said: list[str] = []
    (run,) = pool(parts, said.append)
    assert isinstance(run, PooledRun) and len(said) == 1 and all(str(part.path) in said[0] for part in parts)
    cells = [Cell("full", 0.0, 0), Cell("full", 0.0, 1)]
    cells += [Cell("full", 0.0, 2), Cell("full", 0.5, 1), Cell("full", 0.5, 2), Cell("full", 0.0, 3)]
    assert sorted(names(run.rows())) == sorted((cell.name, t) for t in range(2) for cell in cells)
    assert [row["generation"] for row in run.rows()] == [0] * 6 + [1] * 6
    for cell in cells:
        assert run.read_samples(cell, 1).expressions == encode([f"{'not ' * cell.seed}True"])
        assert [a["of"] for a in run.read_anatomy(0) if Cell.of(a) == cell] == [cell.name]
    assert len(run.read_anatomy(0)) == len(cells) and run.has_samples(1) and not run.has_samples(2)
    sweep = run.config()["config"]["sweep"]
    assert (sweep["fresh_ratios"], sweep["seeds"]) == ([0.0, 0.5], [0, 1, 2, 3])
    assert run.settings() == [run]


def test_a_cell_is_read_where_it_has_got_furthest(tmp_path):
    parts = [make_run(tmp_path / "a", (0.0,), (0,), 1), make_run(tmp_path / "b", (0.0,), (0, 1), 3)]
    (run,) = pool(parts, lambda line: None)
    assert names(run.rows()) == [(f"full_fresh0_seed{seed}", t) for t in range(3) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"seeds": (0, 1), "value": 0.25}, "full_fresh0_seed0, with other values"),
        ({"seeds": (1,), "train": TrainConfig(batch_size=8)}, ""),
        ({"seeds": (0,)}, ""),  # nothing but cells that are there
    ],
)
def test_other_runs_stay_apart(tmp_path, other, reason):
    parts = [make_run(tmp_path / "a", (0.0,), (0,)), make_run(tmp_path / "b", (0.0,), **other)]
    said: list[str] = []
    assert pool(parts, said.append) == parts
    assert len(said) == bool(reason) and all(reason in line for line in said)
