"""metrics.jsonl and metrics.csv, torn, damaged and stale."""

import csv

import pytest

from logic.errors import UsageError
from loop.cell import Cell
from loop.storage.metrics_files import read_rows, repair_rows, write_rows
from tests.columns import COLUMNS

CELLS = [Cell("full", 0.25, 0), Cell("fresh", 1.0, 0)]
ROWS = [{**dict.fromkeys(COLUMNS, 0.5), **c.keys, "generation": t, "kl_depth": None} for t in range(3) for c in CELLS]


@pytest.fixture
def directory(tmp_path):
    write_rows(tmp_path, ROWS, COLUMNS)
    return tmp_path


def repaired(directory):
    warnings: list[str] = []
    repair_rows(directory, COLUMNS, warnings.append)
    return read_rows(directory), warnings


def test_whole_files_are_left_alone(directory):
    before = {p: (p.stat().st_ino, p.read_bytes()) for p in directory.iterdir()}
    assert repaired(directory) == (ROWS, [])
    assert {p: (p.stat().st_ino, p.read_bytes()) for p in directory.iterdir()} == before


def test_however_the_last_line_is_cut_its_generation_is_dropped(directory):
    """And never only a part of a generation: that would count as complete."""
    path, data = directory / "metrics.jsonl", (directory / "metrics.jsonl").read_bytes()
    table = (directory / "metrics.csv").read_bytes()
    start = data[:-1].rindex(b"\n") + 1
    for end in (start + 1, start + 2, (start + len(data)) // 2, len(data) - 2):
        path.write_bytes(data[:end])
        with pytest.raises(UsageError, match=r"metrics\.jsonl, line 6, cut off"):
            read_rows(directory)
        rows, warnings = repaired(directory)
        assert rows == ROWS[:4]
        assert len(warnings) == 1 and "line 6" in warnings[0] and "generation 2" in warnings[0]
        assert (directory / "metrics.csv").read_bytes() == b"".join(table.splitlines(True)[:5])
    path.write_bytes(data[:-1])  # only the line feed is gone
    assert repaired(directory) == (ROWS, [])


def test_a_first_line_that_is_cut(directory):
    (directory / "metrics.jsonl").write_bytes(b'{"cycle": "fu')
    rows, warnings = repaired(directory)
    assert rows == [] and "line 1" in warnings[0]
    assert (directory / "metrics.csv").read_text() == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\0" * 40,
        b"\xff{}",
        b"[1, 2]",
        b'"cycle fresh_ratio seed generation"',
        b'{"cycle": "full"}',
        b'{"cycle": "../../x", "fresh_ratio": 0.5, "seed": 0, "generation": 0}',
        b'{"cycle": "full", "fresh_ratio": 0.5, "seed": "0", "generation": 0}',
    ],
)
@pytest.mark.parametrize("line", [0, 3])
def test_a_damaged_line_in_the_middle_is_refused_and_nothing_changed(directory, bad, line):
    lines = (directory / "metrics.jsonl").read_bytes().splitlines()
    lines[line] = bad
    (directory / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    before = {p: p.read_bytes() for p in directory.iterdir()}
    with pytest.raises(UsageError, match=rf"metrics\.jsonl, line {line + 1}, is damaged"):
        read_rows(directory)
    with pytest.raises(UsageError, match=rf"metrics\.jsonl, line {line + 1}, is damaged"):
        repaired(directory)
    assert {p: p.read_bytes() for p in directory.iterdir()} == before


def test_a_column_of_another_name_is_damage(directory):
    path = directory / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b"novelty", b"novelti", 1))
    with pytest.raises(UsageError, match="line 1, is damaged"):
        repaired(directory)


RENAMED = tuple("originality" if name == "novelty" else name for name in COLUMNS if name != "steps")


@pytest.mark.parametrize("recorded", [RENAMED, ()], ids=["recorded", "version 0.1"])
def test_rows_of_other_measures_are_not_damaged(tmp_path, recorded):
    """They were written when a measure had another name, and one more was there."""
    rows = [{"originality" if k == "novelty" else k: v for k, v in row.items() if k != "steps"} for row in ROWS]
    write_rows(tmp_path, rows, recorded)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    assert before[tmp_path / "metrics.csv"].decode().splitlines()[0] == ",".join(RENAMED)
    repair_rows(tmp_path, recorded, pytest.fail)
    assert read_rows(tmp_path) == rows
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("recorded", [COLUMNS, ()], ids=["recorded", "version 0.1"])
def test_a_run_that_goes_on_with_other_measures_keeps_both(tmp_path, recorded):
    later = {"new" if name == "novelty" else name: value for name, value in ROWS[-1].items()} | {"generation": 3}
    both = (*recorded, "new") if recorded else ()
    write_rows(tmp_path, [*ROWS, later], both)
    repair_rows(tmp_path, both, pytest.fail)
    assert read_rows(tmp_path) == [*ROWS, later]
    with (tmp_path / "metrics.csv").open() as file:
        first, *_, last = csv.DictReader(file)
    assert tuple(first) == (*COLUMNS, "new")
    assert (first["novelty"], first["new"], last["novelty"], last["new"]) == ("0.5", "", "", "0.5")


@pytest.mark.parametrize("table", [None, b"", b"cycle,fresh_ratio\n"])
def test_the_table_follows_the_lines(directory, table):
    path = directory / "metrics.csv"
    before = path.read_bytes()
    path.unlink() if table is None else path.write_bytes(table)
    assert repaired(directory) == (ROWS, [])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "metrics.csv"])
def test_a_digit_that_differs_between_the_files_is_refused(directory, name):
    path = directory / name
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.7", 9))
    before = {p: p.read_bytes() for p in directory.iterdir()}
    with pytest.raises(UsageError, match=r"metrics\.csv, line 2, is not what metrics\.jsonl says"):
        repaired(directory)
    assert {p: p.read_bytes() for p in directory.iterdir()} == before
    (directory / "metrics.csv").unlink()
    assert repaired(directory)[0] == read_rows(directory)


def test_nothing_to_repair(tmp_path):
    assert repaired(tmp_path) == ([], [])
    assert list(tmp_path.iterdir()) == []
