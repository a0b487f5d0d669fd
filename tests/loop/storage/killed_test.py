"""Killed between any two file operations of a write, a run's directory is one from which it can go on.

A kill is played by an audit hook: from the n-th operation in the directory on, none takes place any more, whichever
thread asks for it, as for a dead process. What C++ libraries write does not pass there; tests/stress kills for real.
"""

import contextlib
import functools
import os
import shutil
import sys

import numpy as np
import pytest

from logic.boolean.language import Boolean
from logic.errors import UsageError
from loop.cell import Cell
from loop.examples import Examples
from loop.storage.checkpoints import Checkpoint
from loop.storage.run_directory import RunDirectory
from tests.columns import COLUMNS

CELLS = [Cell("full", 0.25, 0), Cell("fresh", 1.0, 0)]
OPERATIONS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}


class Killed(OSError):  # noqa: N818 (no error of the program)
    """Handlers may catch it: whatever they then try to change is refused as well."""


class Reaper:
    """Counts the operations in a directory, and refuses those from `limit` on."""

    def __init__(self):
        self.root, self.count, self.limit = "", 0, 0
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if not self.root or not (event in OPERATIONS or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))):
            return
        path = arguments[0]
        inside = isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.root)
        relative = event in ("os.remove", "os.rmdir") and arguments[-1] != -1  # to a descriptor, within rmtree
        if inside or relative:
            self.count += 1
            if self.count >= self.limit:
                raise Killed(f"{event} {path}")


REAPER = Reaper()


def kills(path, prepare, act):
    """Prepared directories after a kill before the n-th operation of `act`, for every n; the last one is whole."""
    prepared = RunDirectory(path / "prepared")
    prepared.create({}, "test")
    prepare(prepared)
    prepared.wait()
    for n in range(1, 1000):
        directory = RunDirectory(shutil.copytree(prepared.path, path / str(n)))
        REAPER.root, REAPER.count, REAPER.limit = str(directory.path), 0, n
        with contextlib.suppress(Killed):
            act(directory)
            directory.wait()
        # Threads of a dead process write nothing more: here, nothing more where it is looked for.
        REAPER.root = ""
        after = RunDirectory(directory.path.rename(path / f"{n}_after"))
        REAPER.root = str(directory.path)
        for writer in (directory._checkpoints.writer, directory._states.writer):
            writer._background.shutdown()
        REAPER.root = ""
        yield after
        if REAPER.count < n:
            assert n > 3  # it was cut at several places
            return
    raise AssertionError("it never came to an end")


@pytest.fixture(autouse=True)
def around_every_test(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no waiting for the disk
    yield
    REAPER.root = ""


def left_overs(directory):
    ours = [".lock", "config.json"]
    return [p for p in directory.path.rglob("*") if (p.name.startswith(".") or "tmp" in p.name) and p.name not in ours]


def samples(t):
    expressions = Boolean().sample(20, np.random.default_rng(t))
    return dict.fromkeys(CELLS, (expressions, Boolean().verify(expressions)))


def stored(t):
    train = Examples.drawn([b"\x06"], 0)
    return {CELLS[0]: Checkpoint({"k": np.full(3, t)}, train, {"train_loss": float(t)}, np.zeros(2, np.float32))}


def rows(t):
    return [{**dict.fromkeys(COLUMNS, float(t)), **c.keys, "generation": 0} for c in CELLS]


@pytest.mark.slow
@pytest.mark.parametrize("before", [None, 1])
def test_samples(tmp_path, before):
    def prepare(directory):
        if before is not None:
            directory.write_samples(0, samples(before))

    for directory in kills(tmp_path, prepare, lambda d: d.write_samples(0, samples(2))):
        directory.repair(pytest.fail)
        assert not left_overs(directory)
        if directory.has_samples(0):
            assert directory.read_samples(CELLS[0], 0).expressions in (
                samples(1)[CELLS[0]][0],
                samples(2)[CELLS[0]][0],
            )
        directory.write_samples(0, samples(2))
        assert directory.read_samples(CELLS[1], 0).expressions == samples(2)[CELLS[1]][0]
        assert not left_overs(directory)


@pytest.mark.slow
def test_checkpoint(tmp_path):
    def prepare(directory):
        for t in (0, 1):  # the latter of a run that was killed before it had measured it
            directory.save(t, stored(t))

    for directory in kills(tmp_path, prepare, lambda d: d.save(1, stored(7))):
        directory.repair(pytest.fail)
        assert not left_overs(directory)
        assert directory.checkpoints() in ([0], [0, 1])
        assert directory.load(CELLS[0], 0).counters["train_loss"] == 0
        if 1 in directory.checkpoints():
            assert directory.load(CELLS[0], 1).counters["train_loss"] in (1, 7)
        directory.save(1, stored(7))
        directory.wait()
        assert directory.checkpoints() == [0, 1]
        assert directory.load(CELLS[0], 1).counters["train_loss"] == 7


@pytest.mark.slow
def test_state(tmp_path):
    def prepare(directory):
        for step in (1, 2):
            directory.save_state(0, step, {CELLS[0]: {"x": np.array(step)}})

    steps = set()
    for directory in kills(tmp_path, prepare, lambda d: d.save_state(0, 3, {CELLS[0]: {"x": np.array(3)}})):
        directory.repair(pytest.fail)
        assert not left_overs(directory)
        step, cells = directory.load_state(0, pytest.fail)
        assert cells[CELLS[0]]["x"] == step
        steps.add(step)
        directory.save_state(0, 3, {CELLS[0]: {"x": np.array(3)}})
        directory.wait()
        assert directory.load_state(0, pytest.fail)[0] == 3
        assert len(list((directory.path / "state").iterdir())) == 2
    assert steps == {2, 3}


def test_rows(tmp_path):
    def write(table, directory):
        directory.write_rows(table)

    more = [*rows(1), *({**row, "generation": 1} for row in rows(2))]
    for before, after in ((rows(1), more), (more, rows(1))):  # a generation is added, or taken back
        path = tmp_path / str(len(after))
        path.mkdir()
        for directory in kills(path, functools.partial(write, before), functools.partial(write, after)):
            directory.repair(pytest.fail)
            assert not left_overs(directory)
            assert directory.rows() in (before, after)
            table = (directory.path / "metrics.csv").read_text().splitlines()[1:]
            novelty = [line.split(",")[COLUMNS.index("novelty")] for line in table]
            assert novelty == [str(row["novelty"]) for row in directory.rows()]  # the table is that of the lines


def test_prune(tmp_path):
    def prepare(directory):
        for t in range(5):
            sealed = directory._checkpoints.sealed(t)
            (sealed.path / "cell").mkdir(parents=True)
            (sealed.path / "cell" / "file").write_text(str(t))
            sealed.seal()

    for directory in kills(tmp_path, prepare, lambda d: d.prune("every:4")):
        directory.repair(pytest.fail)
        assert not left_overs(directory)
        assert {0, 3, 4} <= set(directory.checkpoints())
        for t in directory.checkpoints():
            directory._checkpoints.sealed(t).check()
        directory.prune("every:4")
        assert directory.checkpoints() == [0, 3, 4]
        assert sorted(p.name for p in (directory.path / "checkpoints").iterdir()) == ["0", "3", "4"]
        assert len(list((directory.path / "checksums").iterdir())) == 3


def test_the_configuration_of_a_new_run(tmp_path):
    for n in range(1, 10):
        directory = RunDirectory(tmp_path / str(n))
        REAPER.root, REAPER.count, REAPER.limit = str(directory.path), 0, n
        with contextlib.suppress(Killed, UsageError), directory.lock():
            directory.create({"a": n}, "test")
        REAPER.root = ""
        again = RunDirectory(directory.path)
        with again.lock():
            again.create({"a": n}, "test")
            again.repair(pytest.fail)
        assert again.config()["config"] == {"a": n} and not left_overs(again)
        if REAPER.count < n:
            assert n > 3
            return
    pytest.fail("it never came to an end")
