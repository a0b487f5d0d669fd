"""Bytes flipped and files cut in real checkpoints, states and samples: said, or harmless; never another result.

Nothing of it is executed either: no reader unpickles.
"""

import sys

import numpy as np
import pytest

from logic.boolean.language import Boolean
from loop.cell import Cell
from loop.examples import Examples
from loop.storage.checkpoints import Checkpoint
from loop.storage.checksums import Damaged
from loop.storage.run_directory import RunDirectory
from loop.storage.samples import split_name

CELL, OTHER = Cell("full", 1 / 3, 3), Cell("full", 0.0, 3)
EXPRESSIONS = Boolean().sample(50, np.random.default_rng(0))


def tree(seed: float) -> dict:
    """What the loop stores, in small: several types, an empty part, values that are not finite."""
    rng = np.random.default_rng(int(seed))
    return {
        "params": {"layer": {"kernel": rng.normal(size=(7, 5)).astype(np.float32)}, "none": {}},
        "opt_state": {"0": {"mu": rng.normal(size=3), "count": np.array(seed, np.int32)}},
        "key": np.array([1, 2**32 - 1], np.uint32),
        "best": np.array(np.inf, np.float32),
        "active": np.array(True),
    }


def generation(seed: float) -> Checkpoint:
    train = Examples.drawn(EXPRESSIONS, 0)
    nll = np.random.default_rng(int(seed)).normal(size=9).astype(np.float32)
    return Checkpoint({"kernel": np.full((3, 4), seed, np.float32)}, train, {"train_loss": seed}, nll)


def samples() -> tuple:
    return EXPRESSIONS, Boolean().verify(EXPRESSIONS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = RunDirectory(tmp_path_factory.mktemp("damage") / "run")
    directory.create({}, "test")
    directory.write_samples(0, dict.fromkeys((CELL, OTHER), samples()))
    directory.save(0, {CELL: generation(1.0), OTHER: generation(2.0)})
    for step in (10, 20, 30):
        directory.save_state(1, step, {CELL: tree(step), OTHER: tree(step + 1)})
    directory.wait()
    return directory


def equal(a, b) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)


def damages(path):
    """A file with a byte flipped at its start, in its middle and at its end, and cut; then as it was."""
    data = path.read_bytes()
    changed = [data[:-1], data[: len(data) // 2], data + b"\0"] if data else [b"\0"]
    for at in {0, len(data) // 2, len(data) - 1} if data else ():
        changed.append(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
    for new in changed:
        path.write_bytes(new)
        yield
    path.unlink()
    yield
    path.write_bytes(data)


def files(directory):
    return sorted(p for p in directory.rglob("*") if p.is_file())


@pytest.mark.slow
def test_a_damaged_checkpoint_is_never_taken_for_another_result(run):
    expected = {cell: run.load(cell, 0) for cell in (CELL, OTHER)}
    np.testing.assert_array_equal(expected[CELL].held_out_nll, generation(1.0).held_out_nll)
    paths = files(run.path / "checkpoints" / "0")
    assert len(paths) > 15
    for path in paths:
        owner = next((c for c in (CELL, OTHER) if path.is_relative_to(run.path / "checkpoints" / "0" / c.name)), None)
        for _ in damages(path):
            for cell, whole in expected.items():
                if cell == owner:
                    with pytest.raises(Damaged, match=path.name):
                        run.load(cell, 0)
                else:  # another cell's files, and those that orbax keeps above the cells, are not read
                    loaded = run.load(cell, 0)
                    assert equal(loaded.params, whole.params) and loaded.counters == whole.counters
                    assert loaded.training_set.expressions == EXPRESSIONS
    assert run.load(CELL, 0).counters == {"train_loss": 1.0}


def test_damaged_samples_are_never_taken_for_others(run):
    folder = run.samples_path(0)
    seen = 0
    for path in files(folder):
        others = [f"samples-{split_name(cell.name)}." for cell in (CELL, OTHER)]
        for _ in damages(path):
            for cell, mine in zip((CELL, OTHER), others, strict=True):
                if path.name.startswith(tuple(name for name in others if name != mine)):
                    assert run.read_samples(cell, 0).expressions == EXPRESSIONS
                    continue
                with pytest.raises(Damaged, match=path.name):
                    run.read_samples(cell, 0)
                seen += 1
    assert seen > 20


@pytest.mark.slow
def test_of_states_the_newest_undamaged_one_is_taken_and_said(run):
    newest, older = run.path / "state" / "generation_0001_step_00000030", 20
    assert sorted(p.name[-2:] for p in newest.parent.iterdir()) == ["20", "30"]
    said: list[str] = []
    step, cells = run.load_state(1, said.append)
    assert step == 30 and not said
    assert set(cells) == {CELL, OTHER}  # with its exact ratio, which no file name holds
    assert equal(cells[CELL], tree(30)) and equal(cells[OTHER], tree(31))
    for path in files(newest):
        for _ in damages(path):
            said.clear()
            step, cells = run.load_state(1, said.append)
            assert step == older
            assert equal(cells[CELL], tree(20)) and equal(cells[OTHER], tree(21))
            assert len(said) == 1 and path.name in said[0] and "that of step 20" in said[0]
    assert run.load_state(1, said.append)[0] == 30


def test_a_damaged_manifest_is_said(run):
    for name in ("checkpoints_0000.json", "samples_0000.json", "state_generation_0001_step_00000030.json"):
        path = run.path / "checksums" / name
        data = path.read_bytes()
        path.write_bytes(data[:50] + b"x" + data[51:])
        said: list[str] = []
        if name.startswith("state"):
            assert run.load_state(1, said.append)[0] == 20 and name in said[0]
        else:
            read = run.load if name.startswith("check") else run.read_samples
            with pytest.raises(Damaged, match=name):
                read(CELL, 0)
        path.write_bytes(data)


def test_without_an_undamaged_state_there_is_none(tmp_path):
    directory = RunDirectory(tmp_path)
    assert directory.load_state(0, pytest.fail) is None
    directory.save_state(0, 5, {CELL: tree(1)})
    directory.wait()
    next(p for p in files(tmp_path / "state") if p.parent.name == "d").write_bytes(b"")
    said: list[str] = []
    assert directory.load_state(0, said.append) is None
    assert len(said) == 1 and "0 bytes" in said[0] and "none" in said[0]


_unpickled: list[object] = []
_watching = False


def _watch(event: str, arguments: tuple) -> None:
    if _watching and event == "pickle.find_class":
        _unpickled.append(arguments)


def test_nothing_is_unpickled(run):
    global _watching
    sys.addaudithook(_watch)
    _watching = True
    try:
        run.load(CELL, 0)
        run.read_samples(CELL, 0)
        run.load_state(1, pytest.fail)
        assert not _unpickled
        __import__("pickle").loads(b"cos\ngetpid\n.")
        assert _unpickled  # the test can fail
    finally:
        _watching = False
