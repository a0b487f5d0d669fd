"""A figure of the leaderboard: what remedies gain in diversity, what they do to correctness, and what they cost.

A row of panels per cycle, fresh ratio and learner, a line per remedy, the best first: the mean difference to none with
its 95 % interval over seeds, and beside it the cost. A remedy that buys diversity with false samples has its point on
the right in the first panel and on the left in the second.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.figures import Drawn, save
from eval.report.style import STYLE
from eval.statistics.curves import GROUP, Key, family_name, fresh_ratio
from eval.statistics.leaderboard import BETTER, EFFECTS, WORSE, Effect, Entry, records
from loop.cell import NO_REMEDY

NAME = "remedies"
_COST = "samples written or verified besides"
_COLOURS = {BETTER: "#0072b2", WORSE: "#d55e00"}  # of what is decided; all else is grey


def draw_effects(entries: Sequence[Entry], folder: Path) -> list[Drawn]:
    """Writes the figure of a run into a folder; nothing without remedies."""
    if not any(entry.effects["diversity"].mean is not None for entry in entries):
        return []
    known = {e.name for e in EFFECTS if any(entry.effects[e.name].mean is not None for entry in entries)}
    shown = [e for e in EFFECTS if e.name in known & {"diversity", "correctness"}]
    blocks: dict[Key, list[Entry]] = {}
    for entry in entries:
        blocks.setdefault(_without_remedy(entry.key), []).append(entry)
    heights = [len(block) + 2 for block in blocks.values()]
    columns: list[tuple[str, Callable[[Axes, Sequence[Entry]], None]]] = [
        *((f"difference in {effect.label}", _effects_of(effect)) for effect in shown),
        (_COST, _draw_costs),
    ]
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(2.2 + 2.9 * len(columns), 0.24 * sum(heights) + 0.6), layout="constrained")
        grid = fig.subplots(len(blocks), len(columns), squeeze=False, sharex="col", height_ratios=heights)
        for axes, (key, block) in zip(grid, blocks.items(), strict=True):
            for ax, (_, draw) in zip(axes, columns, strict=True):
                draw(ax, block)
                ax.set_yticks(range(len(block)), [entry.remedy for entry in block] if ax is axes[0] else [])
                ax.set_ylim(len(block) - 0.4, -0.6)
                ax.tick_params(labelbottom=True)
            axes[0].set_title(f"{family_name(key)}, φ = {fresh_ratio(key):g}", loc="left")
        for ax, (label, _) in zip(grid[-1], columns, strict=True):
            ax.set_xlabel(label)
    save(fig, pd.DataFrame(records(entries)), folder, NAME)
    caption = (
        "What each remedy changes against none, with 95 % intervals over seeds, and what it costs one cell. Blue: "
        "better, orange: worse, at 5 % after Holm's correction."
    )
    return [Drawn(NAME, caption)]


def cost(entry: Entry) -> float:
    """Samples that are written or verified beyond what none takes."""
    return entry.extra.get("samples_written", 0.0) + entry.extra.get("samples_verified", 0.0)


def _without_remedy(key: Key) -> Key:
    return tuple(NO_REMEDY if name == "remedy" else value for name, value in zip(GROUP, key, strict=True))


def _effects_of(effect: Effect) -> Callable[[Axes, Sequence[Entry]], None]:
    def draw(ax: Axes, entries: Sequence[Entry]) -> None:
        ax.axvline(0, color="0.4", linewidth=0.8)
        for place, entry in enumerate(entries):
            x = entry.effects[effect.name]
            if x.mean is None:
                continue
            bars = None if x.low is None or x.high is None else [[x.mean - x.low], [x.high - x.mean]]
            colour = _COLOURS.get(entry.verdict(effect), "0.5")
            ax.errorbar([x.mean], [place], xerr=bars, color=colour, marker="o", linestyle="", elinewidth=1.2)

    return draw


def _draw_costs(ax: Axes, entries: Sequence[Entry]) -> None:
    ax.barh(range(len(entries)), [cost(entry) for entry in entries], 0.6, color="0.6")
    for place, entry in enumerate(entries):
        if steps := entry.extra.get("extra_steps", 0.0):
            ax.annotate(f" +{steps:g} steps", (cost(entry), place), fontsize="small", va="center")
    ax.margins(x=0.3)
