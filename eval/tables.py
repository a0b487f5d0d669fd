"""Fills the tables of a Markdown page from CSV files, so that every number on it is one that a run has made.

    python -m eval.tables docs/results.md

A table stands under a comment that says what it is made of:

    <!-- table of results/temperature.csv
    where: cycle = full; learner = transformer
    τ: {sample.temperature:.1f}
    change of diversity: {diversity_change:+.0%} [{diversity_change_low:+.0%}, {diversity_change_high:+.0%}]
    -->

The path is relative to the page. `where`, which may be missing, keeps the rows whose columns are as it says, and may
name several values, `cycle = full, expanding`. Every further line is a column of the table: its heading, and how a cell
is made of the row, in Python's format language. A cell is left empty if a number that it needs is not there, and an
interval in brackets is left out.
"""

import re
from pathlib import Path

from logic.errors import UsageError
from loop.storage.atomic_files import write_atomically

_TABLE = re.compile(r"(<!-- table of (\S+)\n(.*?)-->\n)((?:\|[^\n]*\n)*)", re.DOTALL)
_FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")
_INTERVAL = re.compile(r"( ?\[[^\]]*\])")
_ZERO = re.compile(r"^[-+](0(?:\.0*)?%?)$")  # has no sign
_MINUS = re.compile(r"(?<![\w.\]\)])-(?=\d)")


def _filled(template: str, row: dict[str, str]) -> str | None:
    """None where a number is missing."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name, form = match.group(1), match.group(2) or ""
        if name not in row:
            raise UsageError(f"{{{name}}}: there is no such column; there are {', '.join(row)}")
        text = row[name]
        missing |= text in ("", "nan")
        if missing or not form:
            return text
        try:
            return _ZERO.sub(r"\1", format(float(text), form))
        except ValueError:
            raise UsageError(f"{{{name}:{form}}}: {text!r} cannot be written like that") from None

    filled = _FIELD.sub(value, template)
    return None if missing else _MINUS.sub("\N{MINUS SIGN}", filled)


def _cell(template: str, row: dict[str, str]) -> str:
    parts = [_filled(part, row) for part in _INTERVAL.split(template)]  # every second one is an interval
    return "" if None in parts[::2] else "".join(part for part in parts if part is not None)


def _conditions(text: str) -> dict[str, set[str]]:
    pairs = (part.split("=", 1) for part in text.split(";"))
    return {name.strip(): {value.strip() for value in values.split(",")} for name, values in pairs}


def _table(file: Path, recipe: str) -> str:
    import pandas as pd

    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    try:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False).to_dict("records")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no table in CSV: {error}") from None
    columns: list[tuple[str, str]] = []
    for line in filter(str.strip, recipe.splitlines()):
        name, _, template = line.partition(": ")
        if name.strip() == "where":
            wanted = _conditions(template)
            rows = [row for row in rows if all(row.get(c) in values for c, values in wanted.items())]
        else:
            columns.append((name.strip(), template.strip()))
    if not rows or not columns:
        raise UsageError(f"{file}: no row is as `where` says, or no column is named")
    lines = [[name for name, _ in columns], ["---"] * len(columns)]
    for row in rows:
        texts = {str(name): text.replace("|", r"\|") for name, text in row.items()}  # a bar would end the cell
        lines.append([_cell(template, texts) for _, template in columns])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def fill(page: str, folder: Path) -> str:
    """The page with all its tables made anew. Raises UsageError for a file, column or value that is not there."""

    def renew(match: re.Match[str]) -> str:
        comment, file, recipe, _ = match.groups()
        return comment + _table(folder / file, recipe)

    return _TABLE.sub(renew, page)


def main(argv: list[str]) -> None:
    """Fills the pages that the arguments name, in place."""
    if not argv[1:]:
        raise UsageError("name the pages whose tables are to be filled")
    for path in map(Path, argv[1:]):
        if not path.is_file():
            raise UsageError(f"{path}: there is no such page")
        try:
            page = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is no text in UTF-8: {error}") from None
        write_atomically(path, fill(page, path.parent))


if __name__ == "__main__":
    from launch import cli

    cli.run(main)
