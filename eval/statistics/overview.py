"""One table of all that is said of a run's groups: the summary, the verdict on the fall, and whose fall it is."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from eval.statistics.curves import GROUP
from eval.statistics.decomposition import Decomposition, table
from eval.statistics.fall import Decline
from eval.statistics.summary import Summary
from eval.statistics.trend import PLATEAU

BOTTOM = "at the bottom"  # a plateau where nothing is left to fall


def verdict(decline: Decline) -> str:
    """What the fall does at the end: no fall, falling, plateau, at the bottom, or undecided."""
    return BOTTOM if decline.shape.verdict == PLATEAU and decline.bottom else decline.shape.verdict


def overview(summary: Summary, falls: Sequence[Decline], decompositions: Sequence[Decomposition]) -> pd.DataFrame:
    """One row per group: the columns of `summary.groups`, `verdict`, and the parts of the fall at its last generation.

    Parts are those of `decomposition.table`, with `_low` and `_high`; of groups without any they are empty.
    """
    verdicts = pd.DataFrame([dict(zip(GROUP, d.key, strict=True)) | {"verdict": verdict(d)} for d in falls])
    whole = summary.groups.merge(verdicts, on=GROUP, how="left")
    last: list[dict[str, Any]] = [table([d]).iloc[-1].to_dict() for d in decompositions]
    if not last:
        return whole
    parts = pd.DataFrame(last)
    wanted = [c for c in parts if "_part" in c or c.startswith(("fixed_point", "from_first_data"))]
    return whole.merge(parts[[*GROUP, *wanted]], on=GROUP, how="left")
