"""The columns of a run on Boolean expressions, for tests that make rows up."""

from eval.measures.registry import columns, measures
from logic.boolean.language import Boolean

COLUMNS = columns(Boolean())
SAMPLE_COLUMNS = tuple(m.name for m in measures(Boolean(), ["samples"]))  # of the measures that need nothing else
