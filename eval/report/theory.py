"""The curves of theory beside those of the networks in the headline figure: thin, dotted, in the colour of their φ."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from eval.statistics.curves import DIVERSITY
from eval.statistics.decomposition import MEMORISER, Fields

MEAN_FIELD = "mean field"
CAPTIONS = {
    MEMORISER: "the memoriser, which learns its training set perfectly (densely dotted)",
    MEAN_FIELD: "the mean field, a memoriser with infinitely many samples (sparsely dotted)",
}
_DOTS = {MEMORISER: (0, (1, 1.3)), MEAN_FIELD: (0, (1, 4))}
_RANGE = ("mean", "min", "max")


def theory(run: pd.DataFrame, fields: Fields, cycle: str) -> pd.DataFrame:
    """Diversity of the memoriser and of the mean field in one cycle, as long as the run; empty without either.

    Columns `learner`, `cycle`, `fresh_ratio`, `generation`, `seeds`, and mean, min and max over the seeds.
    """
    mine = run[(run["learner"] == MEMORISER) & (run["cycle"] == cycle)]
    grouped = mine.groupby(["cycle", "fresh_ratio", "generation"], sort=False)
    memoriser = grouped[DIVERSITY].agg(list(_RANGE)).add_prefix(f"{DIVERSITY}_")
    parts = [memoriser.assign(seeds=grouped["seed"].nunique(), learner=MEMORISER).reset_index()]
    last = int(run["generation"].max())
    for (of, ratio), field in fields.items():
        rows = [row for row in field["generations"] if row["generation"] <= last] if of == cycle else []
        values = {f"{DIVERSITY}_{what}": [row[DIVERSITY] for row in rows] for what in _RANGE}
        generations = [row["generation"] for row in rows]
        common = {"learner": MEAN_FIELD, "cycle": cycle, "fresh_ratio": ratio, "generation": generations, "seeds": 1}
        parts.append(pd.DataFrame(common | values))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def draw_theory(ax: Axes, table: pd.DataFrame, colours: Mapping[float, Any]) -> None:
    """Draws the rows of `theory` of the fresh ratios that have a colour."""
    for learner, dots in _DOTS.items():
        mine = table[table["learner"] == learner]
        for ratio, line in mine[mine["fresh_ratio"].isin(list(colours))].groupby("fresh_ratio"):
            line = line.sort_values("generation")
            style: dict[str, Any] = {"color": colours[ratio], "linestyle": dots, "linewidth": 1.1}
            ax.plot(line["generation"], line[f"{DIVERSITY}_mean"], clip_on=False, zorder=2.5, **style)
        if len(mine):
            ax.plot([], [], label=learner, color="0.3", linestyle=dots, linewidth=1.1)
