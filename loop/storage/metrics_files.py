"""metrics.jsonl and metrics.csv. The JSON lines are the truth; the table is made from them.

Both are replaced whole, so a line that cannot be read was not left by this program: a copy that was cut off, a failing
disk. The last generation can be measured again from its samples and checkpoint; what lies in the middle is refused.

A run records the columns that it writes, and is read by them, whatever measures the code has that reads it. Runs of
version 0.1 did not record them: theirs are those that their rows have.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from logic.errors import UsageError
from loop.cell import KEYS
from loop.storage.atomic_files import write_atomically

Rows = list[dict[str, Any]]
STATUS = "status"  # why a cell ended, in its last row, which has no measures


def read_rows(directory: Path) -> Rows:
    """All rows; none if there is no file. Raises UsageError, naming file and line, for one that cannot be read."""
    rows, bad = _read(directory, None)
    if bad:
        last = bad == [len(rows) + 1]
        hint = ", cut off: start the run again, and its generation is measured again" if last else ", is damaged"
        raise UsageError(f"{directory / 'metrics.jsonl'}, line {bad[0]}{hint}")
    return rows


def columns_of(rows: Iterable[Mapping[str, Any]], recorded: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns of a table of rows: those that the run recorded, and whatever else its rows have, each once."""
    names = dict.fromkeys(recorded)
    for row in rows:
        if STATUS not in row:
            names.update(dict.fromkeys(row))
    return tuple(names) or KEYS


def write_rows(directory: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Replaces both files. The table has the recorded columns and the rows' own, and no row of a cell that ended."""
    write_atomically(directory / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write_atomically(directory / "metrics.csv", _table(rows, columns))


def repair_rows(directory: Path, columns: Sequence[str], warn: Callable[[str], None]) -> None:
    """Drops a last line that is cut off, with its generation, and makes the table again if it lacks lines.

    `columns` are those that the run recorded, and none if it did not: a row that has others is damaged.
    Raises UsageError for a damaged line that is not the last, and for a table that says otherwise than the lines.
    """
    rows, bad = _read(directory, {*columns, STATUS} if columns else None)
    if bad and bad != [len(rows) + 1]:
        raise UsageError(f"{directory / 'metrics.jsonl'}, line {bad[0]}, is damaged, and more lines follow it")
    if bad:
        last = max((row["generation"] for row in rows), default=0)
        warn(f"{directory / 'metrics.jsonl'}, line {bad[0]}, is cut off: generation {last} is measured again")
        write_rows(directory, [row for row in rows if row["generation"] < last], columns)
        return
    table = directory / "metrics.csv"
    expected = _table(rows, columns)
    found = table.read_bytes().decode(errors="replace") if table.exists() else ""
    if not rows or found == expected:
        return
    ours, theirs = expected.splitlines(), found.splitlines()
    different = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=False), 1) if a != b]
    if different and different[0] > 1:  # other columns are of another version
        raise UsageError(
            f"{table}, line {different[0]}, is not what metrics.jsonl says: one of the two was altered; "
            "if it was the table, remove it, and it is made again"
        )
    write_atomically(table, expected)


def _read(directory: Path, known: set[str] | None) -> tuple[Rows, list[int]]:
    """The rows that can be read, and the numbers of the lines that cannot, or that have a column not `known`."""
    path = directory / "metrics.jsonl"
    data = path.read_bytes() if path.exists() else b""
    rows, bad = [], []
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n") if data else [], 1):
        try:
            row = json.loads(line)
            if not _is_row(row) or (known and set(row) - known):
                raise ValueError("not a row")
            rows.append(row)
        except ValueError:
            bad.append(number)
    return rows, bad


def _is_row(row: Any) -> bool:
    """Whether the keys are there; a cycle becomes part of file names."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("cycle"), str)
        and row["cycle"].isidentifier()
        and isinstance(row.get("fresh_ratio"), int | float)
        and isinstance(row.get("seed"), int)
        and isinstance(row.get("generation"), int)
    )


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, columns_of(rows, columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in rows if STATUS not in row)
    return table.getvalue()
