import json

import numpy as np
import pytest

from eval.cell import Cell
from eval.measures import COLUMNS
from eval.run_directory import Generation, RunDirectory, differing_fields
from logic.command import UsageError
from logic.examples import Examples, concatenate

CONFIG = {"model": {"width": 64}, "sweep": {"seeds": (0, 1), "axes": ()}}
CELL, OTHER = Cell("full", 0.25, 3), Cell("fresh", 1.0, 3)


@pytest.fixture
def directory(tmp_path):
    made = RunDirectory(tmp_path / "deep" / "run")
    made.create(CONFIG, "1 x test")
    return made


def generation(expressions: list[bytes], value: float) -> Generation:
    train = concatenate([Examples.drawn(expressions, 0), Examples.drawn([b""], 1)])
    params = {"layer": {"kernel": np.full((2, 3), value, np.float32)}}
    return Generation(params, train, {"train_loss": value, "steps": 7})


def test_a_run_is_known_again_and_another_is_refused(directory):
    record = directory.config()
    assert record["config"] == {"model": {"width": 64}, "sweep": {"seeds": [0, 1], "axes": []}}
    assert record["devices"] == "1 x test"
    assert record["packages"]["jax"]
    directory.create(CONFIG, "2 x other")  # the same run, wherever it goes on
    assert directory.config() == record
    named = r"model\.width = 64 there, 32 here; sweep\.seeds = \[0, 1\] there, \[0\] here"
    with pytest.raises(UsageError, match=named):
        directory.create({"model": {"width": 32}, "sweep": {"seeds": (0,), "axes": ()}}, "1 x test")


def test_what_is_no_run_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "notes.txt" / "run"):
        with pytest.raises(UsageError):
            RunDirectory(path).create(CONFIG, "1 x test")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(UsageError, match="holds no run"):
        RunDirectory(tmp_path).config()


def test_differing_fields_name_the_leaves():
    a = {"x": {"y": 1, "z": (1, 2)}, "w": None}
    assert differing_fields(a, a) == []
    assert differing_fields(a, {"x": {"y": 2, "z": (1, 2)}, "v": 0}) == [
        "x.y = 1 there, 2 here",
        "v = None there, 0 here",
    ]


def test_rows_are_in_both_files_and_statuses_in_one(directory):
    assert directory.rows() == []
    row = {**dict.fromkeys(COLUMNS, 0.5), **CELL.keys, "generation": 0, "kl_depth": None}
    rows = [row, {**OTHER.keys, "generation": 0, "status": "loss not finite at step 3"}]
    directory.write_rows(rows)
    assert directory.rows() == rows
    header, line = (directory.path / "metrics.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert line.split(",")[:4] == ["full", "0.25", "3", "0"]
    assert dict(zip(COLUMNS, line.split(","), strict=True))["kl_depth"] == ""
    assert not [p for p in directory.path.iterdir() if p.name.endswith(".tmp")]


def test_checkpoints_come_back_as_they_were(directory):
    assert directory.checkpoints() == []
    long = bytes(range(1, 8)) * 40
    cells = {CELL: generation([b"\x06", b"", long, b"\x06"], 0.5), OTHER: generation([], 2.0)}
    directory.save(0, cells)
    directory.wait()
    directory.save(0, {CELL: generation([b"\x07"], 9.0)})  # a killed run comes to the same generation again
    directory.save(1, cells)
    directory.wait()
    fresh = RunDirectory(directory.path)
    assert fresh.checkpoints() == [0, 1]
    for cell, saved in cells.items():
        loaded = fresh.load(cell, 1)
        assert loaded.counters == saved.counters
        np.testing.assert_array_equal(loaded.params["layer"]["kernel"], saved.params["layer"]["kernel"])
        assert loaded.training_set.expressions == saved.training_set.expressions
        for name in ("source", "generation", "index", "root"):
            np.testing.assert_array_equal(getattr(loaded.training_set, name), getattr(saved.training_set, name))
    assert fresh.load(CELL, 0).training_set.expressions == [b"\x07", b""]
    with pytest.raises(KeyError, match="fresh_fresh1_seed3, generation 0"):
        fresh.load(OTHER, 0)


def test_anatomies_come_back(directory):
    assert directory.read_anatomy(4) == []
    cells = [{**CELL.keys, "generation": 4, "depth": [0, 3]}, {**OTHER.keys, "generation": 4, "depth": []}]
    directory.write_anatomy(4, cells)
    assert directory.read_anatomy(4) == cells


def test_axes_are_parts(tmp_path):
    whole = RunDirectory(tmp_path / "run")
    config = {"model": {"width": 8}, "sweep": {"axes": (("model.width", (8, 16)), ("sample.temperature", (0.5,)))}}
    whole.create(config, "1 x test")
    names = ["model.width=8,sample.temperature=0.5", "model.width=16,sample.temperature=0.5"]
    assert [part.path.name for part in whole.parts()] == names
    for part, width in zip(whole.parts(), (8, 16), strict=True):
        part.create({"model": {"width": width}, "sample": {"temperature": 0.5}, "sweep": {"axes": ()}}, "1 x test")
        assert part.parts() == [part]
        part.write_rows([{**dict.fromkeys(COLUMNS, 1.0), **CELL.keys, "generation": 0}])
    whole.combine_metrics()
    header = (whole.path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert header == [*COLUMNS[:4], "model.width", "sample.temperature", *COLUMNS[4:]]
    assert [row["model.width"] for row in whole.rows()] == [8, 16]
    assert json.loads((whole.path / "metrics.jsonl").read_text().splitlines()[1])["sample.temperature"] == 0.5
