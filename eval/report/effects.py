"""A figure of the leaderboard: what remedies gain in diversity, against what they do to correctness and cost.

One point per remedy, cycle, fresh ratio and learner: the mean difference to none, with its 95 % interval over seeds. A
remedy that buys diversity with false samples lies at the top left.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.figures import Drawn, save
from eval.report.style import MARKERS, STYLE
from eval.statistics.curves import fresh_ratio
from eval.statistics.leaderboard import EFFECTS, Entry, records

NAME = "remedies"
_BY_CORRECTNESS, _COST = "correctness", "samples written or verified beyond none's, one cell"


def draw_effects(entries: Sequence[Entry], folder: Path) -> list[Drawn]:
    """Writes the figure of a run into a folder; nothing without remedies."""
    if not any(entry.effects["diversity"].mean is not None for entry in entries):
        return []
    has_truth = any(entry.effects[_BY_CORRECTNESS].mean is not None for entry in entries)
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(10 if has_truth else 5.5, 5), layout="constrained")
        axes = fig.subplots(1, 1 + has_truth, squeeze=False, sharey=True)[0]
        if has_truth:
            _panel(axes[0], entries, "difference in correctness", _BY_CORRECTNESS)
        _panel(axes[-1], entries, _COST, None)
        axes[0].set_ylabel("difference in diversity, remedy − none")  # noqa: RUF001 (a minus sign)
        axes[-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    save(fig, pd.DataFrame(records(entries)), folder, NAME)
    label = EFFECTS[0].label
    caption = f"What each remedy gains in {label}, against what it does to correctness and what it costs. "
    return [Drawn(NAME, caption + "Bars are 95 % intervals over seeds, paired with none.")]


def cost(entry: Entry) -> float:
    """Samples that are written or verified beyond what none takes."""
    return entry.extra.get("samples_written", 0.0) + entry.extra.get("samples_verified", 0.0)


def _panel(ax: Axes, entries: Sequence[Entry], label: str, across: str | None) -> None:
    names = list(dict.fromkeys(entry.remedy for entry in entries))
    groups = list(dict.fromkeys((str(entry.key[0]), fresh_ratio(entry.key)) for entry in entries))
    ax.axhline(0, color="0.4", linewidth=0.8)
    for entry in entries:
        y = entry.effects["diversity"]
        x = entry.effects[across].mean if across else cost(entry)
        if y.mean is None or x is None:
            continue
        bars = None if y.low is None or y.high is None else [[y.mean - y.low], [y.high - y.mean]]
        number, group = names.index(entry.remedy), (str(entry.key[0]), fresh_ratio(entry.key))
        ax.errorbar(
            [x],
            [y.mean],
            yerr=bars,
            color=mpl.colormaps["tab20"](number % 20),
            marker=MARKERS[groups.index(group) % len(MARKERS)],
            linestyle="",
            elinewidth=0.8,
            label=f"{entry.remedy} ({group[0]}, φ = {group[1]:g})" if len(groups) > 1 else entry.remedy,
        )
    ax.set_xlabel(label)
