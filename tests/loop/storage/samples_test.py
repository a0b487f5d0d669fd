import dataclasses
import sys
from typing import Any

import numpy as np
import pytest

from logic.boolean.language import Boolean
from logic.ids import unpad
from loop.cell import Cell

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")

from loop.storage.samples import BLOCK, Samples, read_samples, split_name, write_samples  # noqa: E402 (it needs TFDS)


def samples(expressions: list[bytes], **changes: Any) -> Samples:
    keys: dict[str, Any] = {"cycle": "full", "fresh_ratio": 0.1, "seed": 3} | changes
    return Samples(expressions, Boolean().verify(expressions), Cell(**keys), 7)


def assert_same(a: Samples, b: Samples) -> None:
    assert a.expressions == b.expressions
    assert a.verdicts.keys() == b.verdicts.keys()
    for name, verdict in a.verdicts.items():
        assert verdict.dtype == b.verdicts[name].dtype == bool
        np.testing.assert_array_equal(verdict, b.verdicts[name])
    assert (a.cell, a.generation) == (b.cell, b.generation)


@pytest.fixture
def cells() -> dict[str, Samples]:
    rng = np.random.default_rng(0)
    return {
        "full_fresh0.25_seed0": samples(Boolean().sample(2 * BLOCK + 5, rng), fresh_ratio=0.25, seed=0),
        "expanding_fresh1e-05_seed-1": samples(Boolean(0, 3).sample(BLOCK, rng)[::-1], seed=-1, fresh_ratio=1e-5),
        "all_empty": samples([b""] * (BLOCK + 1), cycle="incremental"),
        "no_samples": samples([]),
        "one_symbol": samples([b"\x06"], seed=2**40),
        "uneven": samples([b"", b"\x01" * 3000, b"", b"\x07"], fresh_ratio=1 / 3),
    }


@pytest.mark.parametrize("only", [None, "all_empty", "no_samples", "one_symbol"])
def test_samples_round_trip(tmp_path, cells, only, capfd):
    cells = {name: cell for name, cell in cells.items() if only in (None, name)}
    directory = tmp_path / "samples" / "generation_0007"
    write_samples(directory, cells)
    assert capfd.readouterr() == ("", "")
    for name, cell in cells.items():
        assert_same(read_samples(directory, name), cell)
        assert_same(read_samples(str(directory), split_name(name)), cell)


def test_anyone_can_read_samples(tmp_path, cells):
    write_samples(tmp_path / "generation_0000", cells)
    builder = tfds.builder_from_directory(tmp_path / "generation_0000")
    assert sorted(builder.info.splits) == sorted(map(split_name, cells))
    cell, start = cells["full_fresh0.25_seed0"], 0
    for block in builder.as_data_source("full_fresh0p25_seed0"):
        n = len(block["length"])
        assert 1 <= n <= BLOCK
        assert block["symbols"].dtype == np.uint8 and block["symbols"].shape[0] == n
        assert unpad(block["symbols"]) == cell.expressions[start : start + n]
        assert block["index"].tolist() == list(range(start, start + n))
        for name, verdict in cell.verdicts.items():
            np.testing.assert_array_equal(block[name], verdict[start : start + n])
        assert (block["cycle"], block["fresh_ratio"], block["seed"], block["generation"]) == (b"full", 0.25, 0, 7)
        start += n
    assert start == len(cell.expressions)
    assert "tensorflow" not in sys.modules


def test_a_data_set_is_replaced_whole(tmp_path, cells):
    directory = tmp_path / "generation_0001"
    left_over = tmp_path / ".generation_0001.tmp"
    left_over.mkdir()
    (left_over / "half").write_text("of a killed run")
    write_samples(directory, cells)
    write_samples(directory, {"other": samples([b"\x06"])})
    assert [path.name for path in tmp_path.iterdir()] == ["generation_0001"]
    assert read_samples(directory, "other").expressions == [b"\x06"]
    with pytest.raises(KeyError, match=r"no_samples.*other"):
        read_samples(directory, "no_samples")


def test_a_failed_write_leaves_the_old_data_set(tmp_path, monkeypatch):
    directory = tmp_path / "generation_0001"
    write_samples(directory, {"a": samples([b"\x06"])})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(tfds.core.SequentialWriter, "add_examples", fail)
    with pytest.raises(OSError, match="disk full"):
        write_samples(directory, {"a": samples([b"\x07"])})
    assert read_samples(directory, "a").expressions == [b"\x06"]


def test_what_cannot_be_written_or_read_is_refused(tmp_path):
    one = samples([b"\x06"])
    with pytest.raises(ValueError, match="one or more"):
        write_samples(tmp_path / "x", {})
    with pytest.raises(ValueError, match="different"):
        write_samples(tmp_path / "x", {"a0.5": one, "a0p5": one})
    with pytest.raises(ValueError, match="allowed are letters"):
        write_samples(tmp_path / "x", {"a/b": one})
    with pytest.raises(ValueError, match="must be equal"):
        Samples([b"\x06", b""], one.verdicts, one.cell, 0)
    with pytest.raises(FileNotFoundError, match="no data set"):
        read_samples(tmp_path / "x", "a")


def test_scores_are_read_back_of_the_cells_that_have_them(tmp_path):
    with_scores = dataclasses.replace(samples([b"\x06", b"\x07"]), scores={"nats_0": np.array([0.5, 2.0], np.float32)})
    write_samples(tmp_path / "x", {"a": with_scores, "b": samples([b"\x06"])})
    assert read_samples(tmp_path / "x", "a").scores["nats_0"].tolist() == [0.5, 2.0]
    assert read_samples(tmp_path / "x", "b").scores == {}


def test_edited_examples_are_read_back_of_the_cells_that_have_them(tmp_path):
    edited = [b"\x06\x07\x01", b"", b"\x05"] * 500  # more than a block, and than the cell has samples
    with_edited = dataclasses.replace(samples([b"\x06", b"\x07"]), edited=edited)
    write_samples(tmp_path / "x", {"a": with_edited, "b": samples([b"\x06"])})
    assert read_samples(tmp_path / "x", "a").edited == edited
    assert read_samples(tmp_path / "x", "a").expressions == [b"\x06", b"\x07"]
    assert read_samples(tmp_path / "x", "b").edited == [] and read_samples(tmp_path / "x", "b").scores == {}
