"""The figure of whose fall it is: the parts of diversity's change, stacked, generation by generation.

A panel for every fresh ratio, a row for every cycle (and run). Parts that lower diversity are stacked downwards from
zero, parts that raise it upwards, so that the ends of both add up to the line, which is what was observed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from eval.report.figures import Drawn, save
from eval.report.style import STYLE
from eval.statistics.curves import Key, family, family_name, fresh_ratio
from eval.statistics.decomposition import FINITE, JOIN, LEARNER, NETWORK, TEMPERATURE, Decomposition, table

NAME = "decomposition"
CAPTION = (
    "Whose fall it is: the relative change of diversity as a sum of what temperature does by itself (the mean field), "
    "what finite samples add (memoriser against mean field) and what the network adds (network against memoriser). "
    "Bars below zero lower diversity, bars above it raise it; together they are the line, with its 95 % interval over "
    "seeds, cut off where it leaves the panel."
)
_COLOURS = {TEMPERATURE: "#d55e00", FINITE: "#e6ab2e", NETWORK: "#0072b2", LEARNER: "#0072b2"}  # told apart by all
_HATCHES = {TEMPERATURE: "", FINITE: "///", NETWORK: "...", LEARNER: "..."}


def _draw_panel(ax: Axes, d: Decomposition) -> tuple[float, float]:
    """Returns the ends of the lowest and of the highest bar."""
    x = np.array(d.generations)
    ends = {-1: np.zeros(len(x)), 1: np.zeros(len(x))}
    for name, estimates in d.parts.items():
        values = np.array([estimate.mean for estimate in estimates], float)
        first = name.split(JOIN)[0]
        for sign, end in ends.items():
            part = np.where(np.sign(values) == sign, values, 0.0)
            style: dict[str, Any] = {"color": _COLOURS[first], "hatch": _HATCHES[first], "edgecolor": "white"}
            ax.bar(x, part, 0.86, end, label=name if sign < 0 else None, linewidth=0, zorder=2, **style)
            end += part
    means, lows, highs = (np.array([getattr(e, what) for e in d.observed], float) for what in ("mean", "low", "high"))
    ax.plot(x, means, color="black", linewidth=1.4, marker="o", markersize=3.5, zorder=5, label="observed")
    ax.vlines(x[~np.isnan(lows)], lows[~np.isnan(lows)], highs[~np.isnan(lows)], color="black", linewidth=1, zorder=4)
    ax.axhline(0, color="0.2", linewidth=0.8, zorder=3)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
    return float(ends[-1].min()), float(ends[1].max())


def draw(runs: Mapping[str, Sequence[Decomposition]]) -> tuple[Figure, pd.DataFrame]:
    """Draws the decompositions of runs, at least one of them; returns the figure and the data in it."""
    places: dict[tuple[str, Key], dict[float, Decomposition]] = {}
    for label, decompositions in runs.items():
        for d in decompositions:
            places.setdefault((label, family(d.key)), {})[fresh_ratio(d.key)] = d
    ratios = sorted({ratio for row in places.values() for ratio in row})
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(max(2.9 * len(ratios), 5.5), 2.5 * len(places) + 0.8), layout="constrained")
        axes = fig.subplots(len(places), len(ratios), squeeze=False, sharex=True, sharey=True)
        ends = [(0.0, 0.0)]
        entries: dict[str, Artist] = {}
        for row_of_axes, ((label, _), row) in zip(axes, places.items(), strict=True):
            cycle = family_name(next(iter(row.values())).key)
            for ax, ratio in zip(row_of_axes, ratios, strict=True):
                if ratio not in row:
                    ax.set_axis_off()
                    continue
                ends.append(_draw_panel(ax, row[ratio]))
                ax.set_title(f"{cycle}, φ = {ratio:g}")
                ax.tick_params(labelbottom=True, labelleft=True)
                handles, names = ax.get_legend_handles_labels()
                entries |= dict(zip(names, handles, strict=True))
            row_of_axes[0].set_ylabel(f"{label}\nchange of diversity" if len(runs) > 1 else "change of diversity")
        # The intervals of two seeds are many times as long as any change: what goes beyond the bars is cut off.
        low, high = min(ends)[0], max(high for _, high in ends)
        axes[0, 0].set_ylim(low - 0.12 * (high - low or 1), high + 0.12 * (high - low or 1))
        for ax in axes[-1]:
            ax.set_xlabel("generation")
        labels: list[Any] = list(entries)
        fig.legend(list(entries.values()), labels, loc="outside upper center", ncols=min(len(entries), 4))
    tables = [table(decompositions).assign(run=label) for label, decompositions in runs.items()]
    data = pd.concat(tables, ignore_index=True)
    return fig, data[["run", *data.columns.drop("run")]]


def draw_and_save(runs: Mapping[str, Sequence[Decomposition]], folder: Path) -> list[Drawn]:
    """Writes the figure into an existing folder; nothing where no run has anything to decompose."""
    if not any(runs.values()):
        return []
    save(*draw(runs), folder, NAME)
    return [Drawn(NAME, CAPTION)]
