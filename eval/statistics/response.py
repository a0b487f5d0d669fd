"""How a fall depends on a number of the configuration: one row per setting and group, and a power law where one fits.

An *axis* is a number of the configuration that differs between runs, such as `sample.temperature`, be they settings of
one sweep or runs made one by one. Only runs that differ in an axis alone stand on the same curve.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eval.statistics.curves import CELL, GROUP
from eval.statistics.intervals import Estimate, mean_interval
from eval.statistics.summary import Summary

_WITHOUT = ("sweep",)  # groups of the configuration that make no setting
_ROUNDING = 1e-9  # of a curvature: a half-life that is the same everywhere has one of 1e-16
LEAST = 3  # values of an axis that a law needs


class Law(NamedTuple):
    """half-life = scale * axis ** exponent, of one group along one axis; estimates are over seeds."""

    axis: str
    others: tuple[tuple[str, Any], ...]  # the other axes and where they are held
    key: tuple[Any, ...]  # of the group
    exponent: Estimate
    scale: float
    curvature: Estimate  # of the parabola that fits better in log-log: 0 for a law that holds
    misfit: float  # largest relative deviation of a mean half-life from the law

    @property
    def holds(self) -> bool:
        """Whether the data do not contradict it: the interval of the curvature includes 0. Without one, not known."""
        low, high = self.curvature.low, self.curvature.high
        return low is not None and high is not None and low <= _ROUNDING and high >= -_ROUNDING


def _numbers(config: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            if prefix or name not in _WITHOUT:
                found |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[prefix + name] = value
    return found


def axes(configs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The numbers, as dotted names, that all configurations have and that are not the same in all of them."""
    numbers = [_numbers(config) for config in configs]
    shared = [name for name in (numbers[0] if numbers else {}) if all(name in n for n in numbers)]
    return tuple(name for name in shared if len({n[name] for n in numbers}) > 1)


def places(configs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Where every run stands: its label as index, a column per axis; of axes that move together, the first."""
    names = axes(list(configs.values()))
    rows = [{name: _numbers(config)[name] for name in names} for config in configs.values()]
    table = pd.DataFrame(rows, index=list(configs), columns=list(names))
    moves = {tuple(pd.factorize(table[name])[0]): name for name in reversed(names)}
    return table[[name for name in names if name in moves.values()]]


def responses(where: pd.DataFrame, overviews: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per run and group, sorted along the axes: where it stands, and all that is said of the group."""
    parts = []
    for label, table in overviews.items():
        part = table.copy()
        for place, axis in enumerate(where):
            part.insert(place, axis, where.loc[label, axis])
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values([*GROUP, *where], kind="stable", ignore_index=True)


def _cells(where: pd.DataFrame, summaries: Mapping[str, Summary]) -> pd.DataFrame:
    parts = []
    for label, found in summaries.items():
        part = found.cells[[*CELL, "half_life"]].copy()
        parts.append(part.assign(**{axis: where.loc[label, axis] for axis in where}))
    return pd.concat(parts, ignore_index=True)


def laws(where: pd.DataFrame, summaries: Mapping[str, Summary]) -> list[Law]:
    """A power law of the half-life for every axis of LEAST values or more and every group that has them all.

    Every seed must have a half-life at every value. It is fitted seed by seed, by least squares on the logarithms, so
    that the intervals are over seeds as all others (eval/statistics/intervals.py).
    """
    cells, found = _cells(where, summaries), []
    for axis in where:
        others = [name for name in where if name != axis]
        for key, table in cells.groupby([*GROUP, *others], sort=False, dropna=False):
            group, held = tuple(key[: len(GROUP)]), tuple(zip(others, key[len(GROUP) :], strict=True))
            if (law := _law(table.pivot(index="seed", columns=axis, values="half_life"))) is not None:
                found.append(Law(axis, held, group, *law))
    return found


def _law(halves: pd.DataFrame) -> tuple[Estimate, float, Estimate, float] | None:
    """Of one row per seed, one column per value of the axis."""
    values = halves.to_numpy(np.float64)
    x = halves.columns.to_numpy(np.float64)
    if len(x) < LEAST or not (x > 0).all() or not (np.isfinite(values) & (values > 0)).all():
        return None
    log_x, log_y = np.log(x), np.log(values)
    lines = np.polyfit(log_x, log_y.T, 1)
    parabolas = np.polyfit(log_x, log_y.T, 2)[0] if len(x) > LEAST else []
    slope, height = lines.mean(axis=1)
    misfit = np.abs(np.expm1(log_y.mean(axis=0) - (slope * log_x + height))).max()
    return mean_interval(lines[0]), math.exp(height), mean_interval(parabolas), float(misfit)


def records(laws: Sequence[Law]) -> list[dict[str, Any]]:
    """Rows of a table, one per law."""
    return [
        dict(zip(GROUP, law.key, strict=True))
        | dict(law.others)
        | {"axis": law.axis, "scale": law.scale, "exponent": law.exponent.mean}
        | {"exponent_low": law.exponent.low, "exponent_high": law.exponent.high, "seeds": law.exponent.seeds}
        | {"curvature": law.curvature.mean, "curvature_low": law.curvature.low, "curvature_high": law.curvature.high}
        | {"misfit": law.misfit, "holds": law.holds}
        for law in laws
    ]


def sentence(law: Law, name: str) -> str:
    """`full: half-life = 4.1 · temperature^2.3 [2.1, 2.5], within 4 %`; `name` is the group's."""
    low, high = law.exponent.low, law.exponent.high
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    at = "".join(f", {other} = {value:g}" for other, value in law.others)
    verdict = (
        "" if law.holds else ", not a law: log-log it is curved" if law.curvature.low is not None else ", untested"
    )
    power = f"half-life = {law.scale:.3g} · {law.axis}^{law.exponent.mean:.2f}{interval}"
    return f"{name}{at}: {power}, within {law.misfit:.0%}{verdict}"
