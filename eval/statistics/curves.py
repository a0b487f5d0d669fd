"""Groups of cells and their curves over the generations; what a control is, and who is compared with which.

A *group* has everything in common but the seed. Its key is the tuple of the columns GROUP.
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from loop.cell import KEYS, NO_REMEDY, TRANSFORMER, Cell

GROUP = [name for name in KEYS if name not in ("seed", "generation")]
CELL = [*GROUP, "seed"]
DIVERSITY = "levenshtein_diversity"
CORRECTNESS = "correctness"  # column of the metrics: that of the verdict which makes a sample correct
CONTROL = "control"  # column of the metrics: whether the row is of a control; set by summary.tables

Key = tuple[Any, ...]
_USUAL = {f.name: f.default for f in dataclasses.fields(Cell)}  # not named where it is what it usually is


def groups(metrics: pd.DataFrame) -> list[Key]:
    """The keys of a run's groups, in the order of the table."""
    return list(metrics[GROUP].drop_duplicates().itertuples(index=False, name=None))


def rows_of(metrics: pd.DataFrame, key: Key) -> pd.DataFrame:
    """The rows of one group."""
    return metrics[np.logical_and.reduce([metrics[name] == value for name, value in zip(GROUP, key, strict=True)])]


def family(key: Key) -> Key:
    """What the groups have in common that differ in their fresh ratio alone: the key without it."""
    return tuple(value for name, value in zip(GROUP, key, strict=True) if name != "fresh_ratio")


def fresh_ratio(key: Key) -> float:
    """A group's fresh ratio."""
    return float(key[GROUP.index("fresh_ratio")])


def group_name(key: Key) -> str:
    """`incremental, fresh 0.25`, for a list; `incremental, fresh 0.25, memoriser`."""
    named = [
        f"fresh {value:g}" if name == "fresh_ratio" else str(value)
        for name, value in zip(GROUP, key, strict=True)
        if value != _USUAL[name]
    ]
    return ", ".join(named)


def family_name(key: Key) -> str:
    """`incremental` of a group's key, whatever its fresh ratio."""
    named = zip(GROUP, key, strict=True)
    return ", ".join(str(value) for name, value in named if name != "fresh_ratio" and value != _USUAL[name])


def networks(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the networks that no remedy is tried on; of a run that has none of these, as near as there are."""
    found = metrics
    for column, usual in (("learner", TRANSFORMER), ("remedy", NO_REMEDY)):
        here = found[found[column] == usual]
        found = here if len(here) else found
    return found


def curves(metrics: pd.DataFrame, key: Key, column: str = DIVERSITY) -> pd.DataFrame:
    """One row per seed, one column per generation, of the cells that reached the group's last generation.

    Empty where the run has no such column, or no number in it.
    """
    if column not in metrics:
        return pd.DataFrame()
    group = rows_of(metrics, key)
    return group.pivot(index="seed", columns="generation", values=column).astype(np.float64).dropna()


def controls(metrics: pd.DataFrame) -> set[Key]:
    """The groups that do not train on their own output."""
    return set(groups(metrics[metrics[CONTROL].to_numpy(bool)]))


def control_of(metrics: pd.DataFrame, key: Key) -> Key | None:
    """The group that a group is compared with, for onset and findings alike; None for a control, or without any.

    The nearest control, the one that has most of its key in common: φ = 1 of its own cycle, where only the origin of
    the data differs; else a cycle that is nothing but a control. φ = 1 of another cycle is none.
    """
    keys, all_controls = groups(metrics), controls(metrics)
    if key in all_controls:
        return None
    looping = {other[0] for other in keys if other not in all_controls}  # cycles
    learner = GROUP.index("learner")
    alike = [k for k in keys if k in all_controls and k[learner] == key[learner]]
    usable = [k for k in alike if k[0] == key[0] or k[0] not in looping]
    return max(usable, key=lambda other: sum(a == b for a, b in zip(other, key, strict=True)), default=None)
