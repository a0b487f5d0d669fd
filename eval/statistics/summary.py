"""A run's summary: every cell, and every (cycle, fresh ratio) across its seeds."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eval.statistics.curves import CELL, CONTROL, CORRECTNESS, GROUP, Key
from eval.statistics.intervals import ANY, CHANGE, FRACTION, FROM_ZERO, mean_interval
from eval.statistics.onset import Median, Onset, group_onset, half_life, median_time
from loop.cell import Cell
from loop.storage.metrics_files import columns_of

EVENTS = ("full_correctness_generation", "half_diversity_generation", "collapse_generation")
MEASURES = {  # name in the summary: column of the metrics
    "diversity": "levenshtein_diversity",
    "correctness": CORRECTNESS,
    "unique_fraction": "unique_fraction",
    "kl": "kl_paired",
}
BOUNDS = {"diversity_change": CHANGE, "kl_first": ANY, "kl_last": ANY}  # of means; all else is a fraction
VALUES = (*(f"{name}_{when}" for name in MEASURES for when in ("first", "last")), "diversity_change")
TIMES = ("onset", "half_life")  # estimated, in generations; not every cell or group gets there
SIGNS = ("self_nll", "first_model_nll")  # columns whose fall may come before that of diversity


class Summary(NamedTuple):
    """`cells`: one row per cell. `groups`: one per (cycle, fresh ratio), means with `_low` and `_high`."""

    cells: pd.DataFrame
    groups: pd.DataFrame


def tables(
    rows: Sequence[Mapping[str, Any]], controls: Collection[str] = (), correctness: str | None = "semantic_correctness"
) -> tuple[pd.DataFrame, list[Mapping[str, Any]]]:
    """Splits the rows of a run's metrics.jsonl into the metrics and the statuses of cells that ended early.

    `controls`: the cycles that do not train on their own output. A fresh ratio of 1 is a control in any cycle. The
    column `control` says which rows are of one. `correctness`: the column of the verdict that makes a sample correct,
    which is there again as CORRECTNESS; None for a language without truth. Keys that an older version of this code did
    not have are at their defaults.
    """
    metrics = pd.DataFrame([row for row in rows if "status" not in row], columns=list(columns_of(rows)))
    for name in set(CELL) - set(metrics.columns):
        metrics[name] = Cell.__dataclass_fields__[name].default
    metrics[CORRECTNESS] = metrics.get(correctness, np.nan)
    metrics = metrics.drop_duplicates([*CELL, "generation"], keep="last", ignore_index=True)
    metrics[CONTROL] = metrics["cycle"].isin(list(controls)) | (metrics["fresh_ratio"] == 1)
    return metrics, [{**row, **Cell.of(row).keys} for row in rows if "status" in row]


def relative_change(first: float, last: float) -> float | None:
    """(last - first) / first; None where there is nothing to relate to."""
    return (last - first) / first if first > 0 else None


def _first_generation(table: pd.DataFrame, reached: pd.Series) -> int | None:
    generations = table["generation"][reached]
    return int(generations.min()) if len(generations) else None


def _cell_summary(table: pd.DataFrame) -> dict[str, Any]:
    """The figures of one cell from its rows, in order of generation; an event that did not happen is None."""
    first, last = table.iloc[0], table.iloc[-1]
    diversity = table["levenshtein_diversity"]
    summary: dict[str, Any] = {
        "last_generation": int(last["generation"]),
        "full_correctness_generation": _first_generation(table, table[CORRECTNESS] == 1),
        "half_diversity_generation": _first_generation(
            table, (diversity <= diversity.iloc[0] / 2) & (diversity.iloc[0] > 0)
        ),
        "collapse_generation": _first_generation(table, table["top1_share"] == 1),
    }
    for name, column in MEASURES.items():
        for when, row in (("first", first), ("last", last)):
            summary[f"{name}_{when}"] = float(row.get(column, np.nan))
    summary["half_life"] = half_life(diversity)
    changed = len(table) > 1
    summary["diversity_change"] = relative_change(diversity.iloc[0], diversity.iloc[-1]) if changed else None
    return summary


def _leads(metrics: pd.DataFrame, key: Key, onset: Onset) -> dict[str, int | None]:
    """How many generations before the onset each of SIGNS fell below the same share of the control's: negative if
    after it, None where one of the two never did."""
    found: dict[str, int | None] = {}
    for name in SIGNS:
        sign = group_onset(metrics, key, name).generation
        both = onset.generation is not None and sign is not None
        found |= {f"{name}_onset": sign, f"{name}_lead": onset.generation - sign if both else None}  # type: ignore[operator]
    return found


def _group_summary(cells: pd.DataFrame, onset: Onset) -> dict[str, Any]:
    """The figures of one (cycle, fresh ratio) across its cells.

    Values are those of the cells that reached the group's last generation: numbers of different generations do not mix.
    The mean of an event exists only if it happened in every cell: a mean over some would be too early. The half-life
    is a median that takes cells without one as lasting at least until their last generation.
    """
    last = cells["last_generation"].max()
    complete = cells[cells["last_generation"] == last]
    summary = {"cells": len(cells), "complete_cells": len(complete), "last_generation": last}
    for name in EVENTS:
        reached = cells[name].dropna()
        summary[f"{name}_reached"] = len(reached)
        estimate = mean_interval(reached if len(reached) == len(cells) else [], FROM_ZERO)
        summary |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    for name in VALUES:
        estimate = mean_interval(complete[name], BOUNDS.get(name, FRACTION))
        summary |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    summary |= {"onset": onset.generation, "onset_low": onset.low, "onset_high": onset.high}
    measured = cells[cells["last_generation"].notna()]
    half: Median = median_time(measured["half_life"].tolist(), measured["last_generation"].tolist())
    summary |= {"half_life": half.median, "half_life_low": half.low, "half_life_high": half.high}
    return summary | {"half_life_censored": half.censored}


def summary(metrics: pd.DataFrame, statuses: Sequence[Mapping[str, Any]] = ()) -> Summary:
    """Summarises a run. `statuses`: the last rows of cells that ended early, with `status` and the cell's keys."""
    ended = {tuple(row[k] for k in CELL): f"{row['status']} (generation {row.get('generation')})" for row in statuses}
    rows = {}
    for key, table in metrics.groupby(CELL, sort=False):
        rows[key] = _cell_summary(table.sort_values("generation"))
    for key in ended:
        rows.setdefault(key, {})  # it ended before its first generation was measured
    columns = [*CELL, "status", "last_generation", *EVENTS, *VALUES, "half_life"]
    cells = pd.DataFrame(
        [dict(zip(CELL, key, strict=True)) | {"status": ended.get(key, "")} | row for key, row in rows.items()],
        columns=columns,
    )
    whole = ["last_generation", *EVENTS]
    cells[whole] = cells[whole].astype("Int64")
    numbers = [*VALUES, "half_life"]
    cells[numbers] = cells[numbers].astype(np.float64)
    onsets = {key: group_onset(metrics, key) for key, _ in cells.groupby(GROUP, sort=False)}
    groups = pd.DataFrame(
        [
            dict(zip(GROUP, key, strict=True)) | _group_summary(g, onsets[key]) | _leads(metrics, key, onsets[key])
            for key, g in cells.groupby(GROUP, sort=False)
        ]
    )
    means = [
        c
        for c in groups
        if c.startswith((*EVENTS, *VALUES, *TIMES, *SIGNS)) and not c.endswith(("_reached", "_censored"))
    ]
    groups[means] = groups[means].astype(np.float64)  # None is NaN, in a column without any number too
    return Summary(cells, groups)
