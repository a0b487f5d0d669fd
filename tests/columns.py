"""The columns of a run on Boolean expressions, for tests that make rows up."""

from typing import Any

from eval.measures.registry import columns, measures
from eval.statistics.curves import Key
from logic.boolean.language import Boolean
from loop.cell import NO_REMEDY, TRANSFORMER

COLUMNS = columns(Boolean())
SAMPLE_COLUMNS = tuple(m.name for m in measures(Boolean(), ["samples"]))  # of the measures that need nothing else


def group(cycle: str, fresh_ratio: float) -> Key:
    """The key of the cells of networks without a remedy."""
    return cycle, fresh_ratio, TRANSFORMER, NO_REMEDY


def filled(value: float) -> dict[str, Any]:
    """A row of a network without a remedy, with this value for every measure."""
    return dict.fromkeys(COLUMNS, value) | {"learner": TRANSFORMER, "remedy": NO_REMEDY}
