"""The figure of sensitivity: how the fall, its half-life and correctness depend on a number of the configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from eval.report.figures import Drawn, save
from eval.report.style import CONTROL, LINES, MARKERS, STYLE
from eval.statistics.curves import GROUP, Key, group_name
from eval.statistics.response import laws, places, records, responses, sentence
from eval.statistics.summary import Summary

NAME = "response"
CAPTION = (
    "What the fall depends on: every line is a group of cells along one number of the configuration. Bars are 95 % "
    "intervals over seeds; a half-life is hollow where some cells did not reach it, and missing where most did not."
)
PANELS = (("diversity_change", "change of diversity"), ("half_life", "half-life, generations"))
CORRECT = ("correctness_last", "correctness at the end")
WIDE = 8  # ratio of largest to smallest value from which on an axis is logarithmic


def _line(ax: Axes, table: pd.DataFrame, axis: str, measure: str, style: dict[str, Any], label: str) -> None:
    x, y = table[axis].to_numpy(float), table[measure].to_numpy(float)
    ax.plot(x, y, label=label, **style)
    low, high = (table[f"{measure}_{end}"].to_numpy(float) for end in ("low", "high"))
    ax.vlines(x, low, high, color=style["color"], linewidth=1)
    if measure == "half_life":
        late = (table["half_life_censored"] > 0).to_numpy()
        ax.plot(x[late], y[late], linestyle="", marker="o", markerfacecolor="white", color=style["color"], zorder=9)


def draw(table: pd.DataFrame, where: pd.DataFrame, controls: frozenset[str]) -> Figure:
    """A row of panels for every axis; a line for every group and place on the other axes."""
    has_truth = bool(table[CORRECT[0]].notna().any())
    panels = (*PANELS, CORRECT) if has_truth else PANELS
    keys: list[Key] = list(table[GROUP].drop_duplicates().itertuples(index=False, name=None))
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(3.6 * len(panels), 2.8 * where.shape[1] + 0.9), layout="constrained")
        grid = fig.subplots(where.shape[1], len(panels), squeeze=False)
        for axes, axis in zip(grid, where, strict=True):
            others = [name for name in where if name != axis]
            for (key, held), part in _lines(table, others):
                number = keys.index(key)
                style: dict[str, Any] = {
                    "color": colormaps["viridis"](0.85 * number / max(len(keys) - 1, 1)),
                    "linestyle": LINES[number % len(LINES)],
                    "marker": MARKERS[number % len(MARKERS)],
                }
                style |= CONTROL if key[GROUP.index("cycle")] in controls else {}
                label = ", ".join([group_name(key), *(f"{name} = {value:g}" for name, value in held)])
                for ax, (measure, _) in zip(axes, panels, strict=True):
                    _line(ax, part.sort_values(axis), axis, measure, style, label)
            values = where[axis].to_numpy(float)
            for ax, (measure, title) in zip(axes, panels, strict=True):
                ax.set_xlabel(axis)
                ax.set_ylabel(title)
                if values.min() > 0 and values.max() >= WIDE * values.min():
                    ax.set_xscale("log")
                if measure != "half_life":
                    ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
                else:
                    ax.set_ylim(bottom=0)
        entries = {label: h for ax in grid.flat for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        fig.legend(entries.values(), entries, loc="outside upper center", ncols=min(len(entries), 4), fontsize="small")
    return fig


def _lines(
    table: pd.DataFrame, others: Sequence[str]
) -> list[tuple[tuple[Key, list[tuple[str, float]]], pd.DataFrame]]:
    lines = []
    for key, part in table.groupby([*GROUP, *others], sort=False, dropna=False):
        held = list(zip(others, key[len(GROUP) :], strict=True))
        lines.append(((tuple(key[: len(GROUP)]), held), part))
    return lines


def draw_and_save(
    configs: Mapping[str, Mapping[str, Any]],
    summaries: Mapping[str, Summary],
    overviews: Mapping[str, pd.DataFrame],
    controls: frozenset[str],
    folder: Path,
) -> list[Drawn]:
    """Writes figure and table into a folder; nothing where the runs differ in no number."""
    where = places(configs)
    if where.empty:
        return []
    table = responses(where, overviews)
    save(draw(table, where, controls), table, folder, NAME)
    found = laws(where, summaries)
    if found:
        pd.DataFrame(records(found)).to_csv(folder / f"{NAME}_laws.csv", index=False)
    told = "; ".join(sentence(law, group_name(law.key)) for law in found)
    return [Drawn(NAME, f"{CAPTION} Power laws, fitted seed by seed: {told}." if told else CAPTION)]
