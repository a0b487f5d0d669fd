"""Graded truth: in how many of its cases a sample is true."""

from eval.measures.measure import WRITES, Measure
from eval.measures.observation import Observation


def rows_true(o: Observation) -> float | None:
    """Mean share of the rows of its truth table in which a sample is true; 0 of a sample that is no expression."""
    rows_N = o.language.rows_true(o.expressions)
    return None if rows_N is None else float(rows_N.mean())


ROWS_TRUE = Measure(
    "rows_true",
    rows_true,
    "rows that are true",
    WRITES,
    "",
    "share of the rows of its truth table in which a sample is true, 0 if it is no expression; mean over samples",
    needs=("samples", "rows_true"),
)
