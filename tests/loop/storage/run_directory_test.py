import json
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from logic.boolean.language import Boolean
from logic.errors import UsageError
from loop.cell import KEYS, Cell
from loop.examples import Examples, concatenate
from loop.storage.atomic_files import is_local
from loop.storage.checkpoints import Checkpoint
from loop.storage.checksums import Damaged
from loop.storage.combine import combine_metrics
from loop.storage.environment import differing_fields
from loop.storage.run_directory import RunDirectory
from tests.columns import COLUMNS

CONFIG = {"model": {"width": 64}, "sweep": {"seeds": (0, 1), "axes": ()}}
CELL, OTHER = Cell("full", 0.25, 3), Cell("fresh", 1.0, 3)


@pytest.fixture
def directory(tmp_path):
    made = RunDirectory(tmp_path / "deep" / "run")
    made.create(CONFIG, "1 x test")
    return made


def generation(expressions: list[bytes], value: float) -> Checkpoint:
    train = concatenate([Examples.drawn(expressions, 0), Examples.drawn([b""], 1)])
    params = {"layer": {"kernel": np.full((2, 3), value, np.float32)}}
    return Checkpoint(params, train, {"train_loss": value, "steps": 7}, np.array([value, np.inf], np.float32))


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


def test_columns_are_recorded_and_later_ones_added(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.create(CONFIG, "1 x test", {"columns": ["cycle", "novelty", "steps"]})
    assert directory.config()["columns"] == ["cycle", "novelty", "steps"]
    directory.create(
        CONFIG, "1 x test", {"columns": ["cycle", "new", "steps"]}
    )  # goes on with code that has other measures
    assert directory.config()["columns"] == ["cycle", "novelty", "steps", "new"]
    before = (directory.path / "config.json").read_bytes()
    directory.create(CONFIG, "2 x other", {"columns": ["cycle", "steps"]})
    assert (directory.path / "config.json").read_bytes() == before
    assert all("columns" not in change for change in directory.changes("1 x test"))


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
    assert line.split(",")[: len(KEYS)] == ["full", "0.25", "3", "transformer", "none", "0"]
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
        np.testing.assert_array_equal(loaded.held_out_nll, saved.held_out_nll)
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


def test_axes_are_settings(tmp_path):
    whole = RunDirectory(tmp_path / "run")
    config = {"model": {"width": 8}, "sweep": {"axes": (("model.width", (8, 16)), ("sample.temperature", (0.5,)))}}
    whole.create(config, "1 x test")
    names = ["model.width=8,sample.temperature=0.5", "model.width=16,sample.temperature=0.5"]
    assert [part.path.name for part in whole.settings()] == names
    for name, width in zip(names, (8, 16), strict=True):
        part = whole.setting(name)
        part.create({"model": {"width": width}, "sample": {"temperature": 0.5}, "sweep": {"axes": ()}}, "1 x test")
        assert part.settings() == [part]
        part.write_rows([{**dict.fromkeys(COLUMNS, 1.0), **CELL.keys, "generation": 0}])
    combine_metrics(whole)
    header = (whole.path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert header == [*KEYS, "model.width", "sample.temperature", *COLUMNS[len(KEYS) :]]
    assert [row["model.width"] for row in whole.rows()] == [8, 16]
    assert json.loads((whole.path / "metrics.jsonl").read_text().splitlines()[1])["sample.temperature"] == 0.5


def test_stored_means_samples_and_checkpoint(directory):
    expressions = [b"\x06"]
    samples = expressions, Boolean().verify(expressions)
    assert not directory.stored(3)
    directory.write_samples(3, {CELL: samples})
    assert directory.has_samples(3) and not directory.stored(3)
    directory.save(3, {CELL: generation(expressions, 1.0)})
    directory.wait()
    assert directory.stored(3)
    next((directory.path / "checksums").glob("samples*")).unlink()
    assert not directory.stored(3)
    with pytest.raises(FileNotFoundError, match="no complete data set"):
        directory.read_samples(CELL, 3)


@pytest.mark.parametrize(
    ("keep", "left"),
    [("all", [0, 1, 2, 3, 4, 5, 6]), ("last", [0, 5, 6]), ("every:3", [0, 3, 5, 6]), ("every:9", [0, 5, 6])],
)
def test_pruning_keeps_what_it_says_and_all_samples(directory, keep, left):
    for t in range(7):
        for sealed in (directory._checkpoints.sealed(t), directory._samples(t)):
            sealed.path.mkdir(parents=True)
            (sealed.path / "file").write_text(str(t))
            sealed.seal()
    (directory.path / "checkpoints" / "1").rename(directory.path / "checkpoints" / "7")  # 7: not complete
    directory.prune(keep)
    assert directory.checkpoints() == [t for t in left if t != 1]
    assert (directory.path / "checkpoints" / "7").exists()
    assert all(directory.has_samples(t) for t in range(7))


@pytest.mark.parametrize("keep", ["", "none", "every", "every:0", "every:-1", "every:2.5", "last "])
def test_other_words_for_pruning_are_refused(directory, keep):
    with pytest.raises(ValueError, match="allowed are all, last, and every:K"):
        directory.prune(keep)


def test_states_are_dropped_with_their_generation(directory):
    for at in ((0, 5), (1, 2), (1, 4)):
        directory.save_state(*at, {CELL: {"x": np.array(at)}})
    directory.wait()
    directory.drop_states(lambda t: t < 1)
    assert directory.load_state(0, pytest.fail) is None
    assert directory.load_state(1, pytest.fail)[0] == 4
    directory.drop_states(lambda t: t < 2)
    assert directory.load_state(1, pytest.fail) is None
    assert not list((directory.path / "state").iterdir()) and not list((directory.path / "checksums").iterdir())


def test_a_generations_states_stay_while_the_next_one_saves(directory):
    """The earlier one may not be stored yet, and a run that went back to it must not lose what it saves."""
    for at in ((4, 8), (4, 9), (5, 1), (5, 2), (5, 3)):
        directory.save_state(*at, {CELL: {"x": np.array(at)}})
        directory.wait()
    assert directory.load_state(4, pytest.fail)[0] == 9
    assert directory.load_state(5, pytest.fail)[0] == 3
    directory.save_state(4, 10, {CELL: {"x": np.array(10)}})
    directory.wait()
    assert directory.load_state(4, pytest.fail)[0] == 10
    assert len(list((directory.path / "state").iterdir())) == 4


def test_where_there_is_no_file_system(tmp_path, monkeypatch):
    """TFDS writes and reads files; to an object store they are copied. epath's own path class stands in for one."""
    monkeypatch.setattr("loop.storage.reader.locate", epath.Path)
    store = RunDirectory(tmp_path / "store")
    assert not is_local(store.path)
    with store.lock():
        store.create({}, "test")
        for expressions in ([b"\x06"], [b"\x01\x05\x07\x02", b"\x06"]):
            store.write_samples(0, {CELL: (expressions, Boolean().verify(expressions))})
            assert store.read_samples(CELL, 0).expressions == expressions
    (store.samples_path(0) / "dataset_info.json").write_text("{}")
    with pytest.raises(Damaged):
        store.read_samples(CELL, 0)


def test_arrays_may_change_once_a_save_has_begun(directory):
    array = np.ones((300, 300))
    directory.save_state(0, 1, {CELL: {"x": array}})
    array[:] = 2
    directory.wait()
    assert (directory.load_state(0, pytest.fail)[1][CELL]["x"] == 1).all()


def test_repair_removes_only_what_is_ours(directory):
    theirs = ["notes.txt", ".hidden", "samples/mine.tmp.txt", "checkpoints/.cache", "report/index.html"]
    ours = [
        ".metrics.csv.0a1b2c3d.tmp",
        "samples/.generation_0001.tmp/x",
        "checkpoints/.3.gone/y",
        "report/.a.svg.1.tmp",
        "training/.generation_0001.csv.1.tmp",
    ]
    ours += ["checkpoints/2.orbax-checkpoint-tmp/z", "checksums/.samples_0001.json.11.tmp"]
    for name in theirs + ours:
        (directory.path / name).parent.mkdir(parents=True, exist_ok=True)
        (directory.path / name).write_text("x")
    directory.repair(pytest.fail)
    left = {str(p.relative_to(directory.path)) for p in directory.path.rglob("*") if p.is_file()}
    assert left == {*theirs, "config.json"}


def test_damaged_json_is_said(directory):
    directory.write_anatomy(0, [])
    for path, read in [
        (directory.path / "anatomy" / "generation_0000.json", lambda: directory.read_anatomy(0)),
        (directory.path / "config.json", directory.config),
    ]:
        for content in (b"", b"[1,", b"\xff\xfe"):
            path.write_bytes(content)
            with pytest.raises(Damaged, match=f"{path.name} is damaged"):
                read()


def test_a_home_directory_and_a_url_of_a_file_are_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunDirectory("~/x").path == tmp_path / "x" == RunDirectory(f"file://{tmp_path}/x").path
    assert RunDirectory("./~").path.name == "~" and RunDirectory("a~").path.name == "a~"
    assert RunDirectory("file:///a%20b").path == Path("/a b")
    for path in ("http://host/x", "foo://x", "file://x/y"):
        with pytest.raises(UsageError, match="allowed are"):
            RunDirectory(path)


@pytest.mark.parametrize("name", ["x[1]", "a*", "b?"])
def test_names_that_orbax_takes_for_patterns_are_refused(name, tmp_path):
    """Its checkpoints would be empty: it looks for the parts of one with glob, brackets in the way to it included."""
    with pytest.raises(UsageError, match="allowed are names without"):
        RunDirectory(tmp_path / name / "run").create(CONFIG, "1 x test")
    assert list(tmp_path.iterdir()) == []


def test_paths_of_object_stores_are_understood():
    """Only their paths: nothing of it is tried on a store."""
    run = RunDirectory("gs://bucket/runs/a")
    assert str(run.samples_path(3)) == "gs://bucket/runs/a/samples/generation_0003"
    assert str(run.setting("x=1").path) == "gs://bucket/runs/a/x=1"
    assert not is_local(run.path) and is_local(RunDirectory("a").path)
