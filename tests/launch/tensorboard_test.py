import sys

import numpy as np
import pytest

from launch.tensorboard import check_tensorboard, write_events
from logic.errors import UsageError
from loop.cell import Cell
from loop.storage.atomic_files import locate
from loop.storage.run_directory import RunDirectory

CELLS = [Cell("full", 0.5, 0), Cell("fresh", 1.0, 0, "memoriser")]
CURVE = np.array([[10, 1.5, 1.25, 1.75], [20, 0.5, 0.25, np.inf]])


def test_a_missing_package_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UsageError, match="tensorboardX, which is not installed"):
        check_tensorboard(tmp_path)


@pytest.fixture
def directory(tmp_path):
    made = RunDirectory(tmp_path / "run")
    made.create({"train": {"max_steps": 20}}, "1 x test")
    rows = [cell.keys | {"generation": t, "novelty": 0.5 + t, "kl_depth": None} for t in range(3) for cell in CELLS]
    made.write_rows([*rows, CELLS[0].keys | {"generation": 3, "status": "loss not finite at step 10"}])
    for t in range(4):
        made.write_curves(t, {CELLS[0]: CURVE + t})
    return made


def events(directory, cell):
    """file -> [(name, step, value)], read by the record format: length, checksum, message, checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = {}
    for path in sorted((directory.path / "tensorboard" / cell.name).iterdir()):
        data, rows = path.read_bytes(), []
        while data:
            size = int.from_bytes(data[:8], "little")
            event = event_pb2.Event.FromString(data[12 : 12 + size])
            rows += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            data = data[16 + size :]
        found[path.name.rpartition(".")[2]] = rows
    return found


@pytest.mark.slow
def test_every_cell_is_a_run_with_its_curves_and_measures(directory):
    pytest.importorskip("tensorboardX")
    check_tensorboard(directory.path)
    write_events(directory, 0)
    network = events(directory, CELLS[0])
    assert list(network) == [f"generation_000{t}" for t in range(4)]
    assert network["generation_0001"] == [
        ("training/loss", 31, 2.5),
        ("training/train_loss", 31, 2.25),
        ("training/validation_loss", 31, 2.75),
        ("training/loss", 41, 1.5),
        ("training/train_loss", 41, 1.25),
        ("training/validation_loss", 41, np.inf),
        ("measures/novelty", 1, 1.5),
    ]
    assert [name for name, *_ in network["generation_0003"]] == ["training/loss", *network_names()] * 2  # it has ended
    assert events(directory, CELLS[1])["generation_0002"] == [("measures/novelty", 2, 2.5)]


def network_names():
    return ["training/train_loss", "training/validation_loss"]


@pytest.mark.slow
def test_only_what_is_missing_or_new_is_written(directory):
    pytest.importorskip("tensorboardX")
    write_events(directory, 0)
    folder = directory.path / "tensorboard" / CELLS[0].name
    kept, gone, left_over = *sorted(folder.iterdir())[:2], folder / ".events.out.tfevents.1.x.generation_0002"
    before = kept.stat().st_mtime_ns
    gone.unlink()
    left_over.touch()
    directory.write_rows([row for row in directory.rows() if row["generation"] < 3])  # computed again from here on
    write_events(directory, 2)
    assert list(events(directory, CELLS[0])) == [f"generation_000{t}" for t in range(3)]
    assert kept.stat().st_mtime_ns == before and not left_over.exists()


def test_object_stores_are_refused():
    pytest.importorskip("tensorboardX")
    with pytest.raises(UsageError, match=r"--workdir is gs://bucket/run"):
        check_tensorboard(locate("gs://bucket/run"))
