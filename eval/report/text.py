"""Numbers as text, for the page and the terminal alike."""

from collections.abc import Mapping
from typing import Any


def missing(value: Any) -> bool:
    """Whether a figure is not there."""
    import pandas as pd

    return value is None or bool(pd.isna(value))


def number(value: Any, unit: str) -> str:
    """A figure of the summary. `unit`: `%` of a fraction, `+%` of a change, `t` of a generation, `+` of a difference,
    or plain."""
    from eval.statistics.findings import percent

    if missing(value):
        return "–"  # noqa: RUF001 (a dash in a table)
    if unit in ("%", "+%"):
        return percent(value, signed=unit == "+%")
    if unit == "+":
        return f"{value:+.3f}"
    return f"{value:.1f}".removesuffix(".0") if unit == "t" else f"{value:.3f}"


def interval(row: Mapping[str, Any], name: str, unit: str) -> str:
    """The 95 % interval of a figure, in brackets; empty where there is none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if missing(low) else f"[{number(low, unit)}, {number(high, unit)}]"


def span(row: Mapping[str, Any], name: str, unit: str) -> str:
    """A figure in the first and in the last generation."""
    return f"{number(row[f'{name}_first'], unit)} → {number(row[f'{name}_last'], unit)}"


def event(row: Mapping[str, Any], name: str) -> str:
    """The mean generation of an event, or in how many cells it happened at all."""
    reached, cells = row[f"{name}_reached"], row["cells"]
    return number(row[name], "t") if reached == cells else f"in {reached} of {cells}" if reached else "not reached"
