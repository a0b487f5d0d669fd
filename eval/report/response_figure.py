"""The figure of sensitivity: how the fall, its half-life and correctness depend on a number of the configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter

from eval.report.figures import Drawn, save
from eval.report.style import CONTROL, LINES, MARKERS, STYLE
from eval.statistics.curves import GROUP, Key, family, family_name, fresh_ratio, group_name
from eval.statistics.response import laws, places, records, responses, sentence
from eval.statistics.summary import Summary
from loop.cell import TRANSFORMER

NAME = "response"
CAPTION = (
    "What the fall depends on: every line is a group of cells along one number of the configuration. Bars are 95 % "
    "intervals over seeds; a half-life is hollow where some cells did not reach it, and missing where most did not."
)
PANELS = (("diversity_change", "change of diversity"), ("half_life", "half-life, generations"))
CORRECT = ("correctness_last", "correctness at the end")
_CYCLE, _LEARNER = GROUP.index("cycle"), GROUP.index("learner")
TICKS = 8  # so many values of an axis are its ticks
WIDE = 8  # ratio of largest to smallest value from which on an axis is logarithmic


def _draw_line(ax: Axes, table: pd.DataFrame, axis: str, measure: str, style: dict[str, Any], label: str) -> None:
    x, y = table[axis].to_numpy(float), table[measure].to_numpy(float)
    ax.plot(x, y, label=label, **style)
    low, high = (table[f"{measure}_{end}"].to_numpy(float) for end in ("low", "high"))
    ax.vlines(x, low, high, color=style["color"], linewidth=1)
    if measure == "half_life":
        late = (table["half_life_censored"] > 0).to_numpy()
        ax.plot(x[late], y[late], linestyle="", marker="o", markerfacecolor="white", color=style["color"], zorder=9)


class _Line(NamedTuple):
    key: Key
    held: tuple[tuple[str, float], ...]  # the other axes and their values
    table: pd.DataFrame

    @property
    def kind(self) -> tuple[Any, ...]:
        """All but the fresh ratio."""
        return family(self.key), self.held


def _lines(table: pd.DataFrame, axis: str, others: Sequence[str], controls: frozenset[str]) -> list[_Line]:
    """Networks and small ratios first; of controls those of one learner alone."""
    found = []
    for values, part in table.groupby([*GROUP, *others], sort=False, dropna=False):
        key, held = tuple(values[: len(GROUP)]), tuple(zip(others, values[len(GROUP) :], strict=True))
        found.append(_Line(key, held, part.sort_values(axis)))
    found.sort(key=lambda line: (line.key[_LEARNER] != TRANSFORMER, fresh_ratio(line.key)))
    first = found[0].key[_LEARNER]
    return [line for line in found if line.key[_CYCLE] not in controls or line.key[_LEARNER] == first]


def _styles(lines: Sequence[_Line], controls: frozenset[str]) -> list[tuple[dict[str, Any], str]]:
    """Style and label of every line: the colour is the fresh ratio's, dashes and marker are all the rest's."""
    looping = [line for line in lines if line.key[_CYCLE] not in controls]
    ratios = sorted({fresh_ratio(line.key) for line in looping})
    kinds = list(dict.fromkeys(line.kind for line in looping))
    found: list[tuple[dict[str, Any], str]] = []
    for line in lines:
        held = [f"{name} = {value:g}" for name, value in line.held]
        if line.key[_CYCLE] in controls:
            found.append((dict(CONTROL), ", ".join([f"control ({line.key[_CYCLE]})", *held])))
            continue
        kind, place = kinds.index(line.kind), ratios.index(fresh_ratio(line.key))
        colour = colormaps["viridis"](0.74 * place / max(len(ratios) - 1, 1))
        style: dict[str, Any] = {
            "color": colour,
            "linestyle": LINES[kind % len(LINES)],
            "marker": MARKERS[kind % len(MARKERS)],
        }
        name = [family_name(line.key)] if len({k for k, _ in kinds}) > 1 else []
        found.append((style, ", ".join([*name, f"φ = {fresh_ratio(line.key):g}", *held])))
    return found


def _percent(y: float, position: int) -> str:
    """As many decimals as are needed: the formatter of percent fixes a number, and ticks of 0.5 % then look equal."""
    return Formatter.fix_minus(f"{round(100 * y, 6):g}%")


def draw(table: pd.DataFrame, where: pd.DataFrame, controls: frozenset[str]) -> Figure:
    """A row of panels for every axis; a line for every group and place on the other axes."""
    has_truth = bool(table[CORRECT[0]].notna().any())
    panels = (*PANELS, CORRECT) if has_truth else PANELS
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(3.6 * len(panels), 2.8 * where.shape[1] + 0.9), layout="constrained")
        grid = fig.subplots(where.shape[1], len(panels), squeeze=False)
        for axes, axis in zip(grid, where, strict=True):
            lines = _lines(table, axis, [name for name in where if name != axis], controls)
            for line, (style, label) in zip(lines, _styles(lines, controls), strict=True):
                for ax, (measure, _) in zip(axes, panels, strict=True):
                    _draw_line(ax, line.table, axis, measure, style, label)
            values = sorted(set(where[axis]))
            for ax, (measure, title) in zip(axes, panels, strict=True):
                ax.set_xlabel(axis)
                ax.set_ylabel(title)
                if values[0] > 0 and values[-1] >= WIDE * values[0]:
                    ax.set_xscale("log")
                else:  # the same in all panels, also where half-lives are missing
                    room = 0.05 * (values[-1] - values[0])
                    ax.set_xlim(values[0] - room, values[-1] + room)
                    if len(values) <= TICKS:
                        ax.set_xticks(values)
                if measure != "half_life":
                    ax.yaxis.set_major_formatter(FuncFormatter(_percent))
                else:
                    ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
        entries = {label: h for ax in grid.flat for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        fig.legend(entries.values(), entries, loc="outside upper center", ncols=min(len(entries), 4), fontsize="small")
    return fig


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
