"""Figures of one run or several side by side: PNG, SVG, and the drawn data as CSV.

One panel per cycle (and run), generations across, one line per fresh ratio φ: the mean over seeds, in a band from
the smallest to the largest seed. The control, trained on new real data in every generation, is dashed grey in every
panel.
"""

import dataclasses
import functools
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval.measures import registry
from eval.report.style import CONTROL, LINES, MARKERS, STYLE
from eval.report.theory import CAPTIONS, draw_theory, theory
from eval.statistics.curves import networks
from eval.statistics.decomposition import Fields
from logic.language import Language
from loop.cell import TRANSFORMER

Runs = Mapping[str, pd.DataFrame]  # label -> metrics; the label is shown only if there are several
Controls = Collection[str]  # cycles that never train on generated examples

FIGURES: dict[
    str, tuple[tuple[str, ...], str]
] = {  # file name: its measures, side by side, and what they are; the correctness of a language comes first
    "diversity": (
        ("levenshtein_diversity",),
        "Mean Levenshtein distance of all pairs of samples, relative to the longer one of the pair.",
    ),
    "unique": (("unique_fraction",), "Distinct samples as a share of all samples."),
    "entropy": (("sample_entropy",), "Entropy of the empirical distribution of the samples, in nats."),
}
BAND = "Lines are means over the seeds that got there, bands reach from the smallest to the largest seed"
REFERENCE = "the dashed grey line is the control, trained on new real data in every generation"


@dataclasses.dataclass(frozen=True)
class Subject:
    """What all figures of a report have to know of its runs."""

    controls: Controls
    language: Language

    @property
    def correctness(self) -> tuple[str, ...]:
        """The columns of correctness that are drawn: all verdicts but the last, which asks for the form besides."""
        columns = tuple(verdict.column for verdict in self.language.verdicts)
        return columns[:-1] or columns

    @property
    def headline(self) -> tuple[str, str]:
        """Diversity, and correctness where there is any."""
        return "levenshtein_diversity", self.language.correctness or "unique_fraction"

    @functools.cached_property
    def labels(self) -> dict[str, str]:
        """The axis label of every measure."""
        return {measure.name: measure.title for measure in registry.measures(self.language)}

    def figures(self) -> dict[str, tuple[tuple[str, ...], str]]:
        """All figures but the headline."""
        if not self.correctness:
            return FIGURES
        meanings = [f"{v.label} ({v.meaning})" for v in self.language.verdicts if v.column in self.correctness]
        what = f"{'; '.join(meanings)}; where all of it is high, the axis does not begin at 0."
        return {"correctness": (self.correctness, what[:1].upper() + what[1:])} | FIGURES


@dataclasses.dataclass(frozen=True)
class Drawn:
    """One figure: NAME.png, NAME.svg and NAME.csv are in the folder."""

    name: str
    caption: str


def curves(runs: Runs, measures: tuple[str, ...]) -> pd.DataFrame:
    """What is drawn: per run, cycle, fresh ratio and generation the number of seeds, and mean, min, max over them."""
    parts = []
    for label, metrics in runs.items():
        keys = ["cycle", "fresh_ratio", "generation"]
        grouped = metrics.groupby(keys, sort=False)
        part = grouped[list(measures)].agg(["mean", "min", "max"])
        part.columns = [f"{measure}_{what}" for measure, what in part.columns]
        part.insert(0, "seeds", grouped["seed"].nunique())
        parts.append(part.reset_index().assign(run=label))
    table = pd.concat(parts, ignore_index=True)
    return table[["run", *table.columns.drop("run")]]


def _ratio_styles(table: pd.DataFrame, subject: Subject) -> dict[float, dict[str, Any]]:
    """Colour from dark (φ = 0) to light, with a line and a marker of its own, so that colour is never needed."""
    ratios = sorted(table.loc[~table["cycle"].isin(subject.controls), "fresh_ratio"].unique())
    shade = colormaps["viridis"]
    return {
        ratio: {
            "color": shade(0.74 * i / max(len(ratios) - 1, 1)),
            "linestyle": LINES[i % len(LINES)],
            "marker": MARKERS[i % len(MARKERS)],
        }
        for i, ratio in enumerate(ratios)
    }


def _draw_line(
    ax: Axes, table: pd.DataFrame, measure: str, style: Mapping[str, Any], label: str, zorder: float
) -> None:
    table = table.sort_values("generation")
    x = table["generation"].to_numpy()
    every = max(1, math.ceil(len(x) / 10))  # markers tell lines apart; at every point they would hide them
    style = {**style, "marker": style["marker"] or ("o" if len(x) == 1 else "")}
    ax.plot(x, table[f"{measure}_mean"], label=label, markevery=every, zorder=zorder, clip_on=False, **style)
    if (table["seeds"] > 1).any():
        low, high = table[f"{measure}_min"].to_numpy(float), table[f"{measure}_max"].to_numpy(float)
        ax.fill_between(x, low, high, color=style["color"], alpha=0.16, linewidth=0, zorder=zorder - 1)


def _draw_panel(
    ax: Axes,
    table: pd.DataFrame,
    cycle: str,
    measure: str,
    styles: Mapping[float, dict[str, Any]],
    subject: Subject,
) -> None:
    """One cycle of one run."""
    for name, control in table[table["cycle"].isin(subject.controls)].groupby("cycle"):
        _draw_line(ax, control, measure, CONTROL, f"control ({name})", zorder=3)
    for ratio, line in table[table["cycle"] == cycle].groupby("fresh_ratio") if cycle not in subject.controls else ():
        # The smallest ratio lies on top: it is the one that the eye should find.
        _draw_line(ax, line, measure, styles[ratio], f"φ = {ratio:g}", zorder=6 - ratio)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.margins(x=0.03)


def _finish(fig: Figure, axes: list[Axes], title: str) -> None:
    """One legend for all panels, above them, where no data is."""
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    order = sorted(entries, key=lambda label: (label in CAPTIONS, label.startswith("control"), label))
    rows = math.ceil(len(order) / max(2, int(fig.get_figwidth() / 1.3)))
    columns = math.ceil(len(order) / rows)
    fig.legend(
        [entries[label] for label in order],
        order,
        title=title,
        loc="outside upper center",
        ncols=columns,
        handlelength=3.0,
        columnspacing=1.4,
    )


def _limits(axes: list[Axes], measure: str, table: pd.DataFrame, subject: Subject) -> None:
    lowest, highest = float(table[f"{measure}_min"].min()), float(table[f"{measure}_max"].max())
    top = 1.0 if measure in subject.correctness else highest or 1.0
    bottom = math.floor(lowest * 20 - 0.4) / 20 if measure in subject.correctness and lowest > 0.5 else 0.0
    for ax in axes:
        ax.set_ylim(bottom, top + 0.04 * (top - bottom))


def _panels(table: pd.DataFrame, subject: Subject) -> tuple[list[tuple[str, str]], int]:
    """The (run, cycle) of every panel in reading order, and the number of columns."""
    labels = list(dict.fromkeys(table["run"]))
    every = list(dict.fromkeys(table["cycle"]))
    cycles = [cycle for cycle in every if cycle not in subject.controls] or every[:1]
    there = set(zip(table["run"], table["cycle"], strict=True))
    panels = [(label, cycle) for cycle in cycles for label in labels if (label, cycle) in there]
    if len(labels) in (2, 3) and len(panels) == len(labels) * len(cycles):
        return panels, len(labels)  # one cycle of all runs in a row
    return panels, 2 if len(panels) == 4 else min(3, len(panels))


def draw(runs: Runs, measures: tuple[str, ...], subject: Subject) -> tuple[Figure, pd.DataFrame]:
    """Draws measures of runs with at least one row; returns the figure and the data in it."""
    table = curves(runs, measures)
    styles = _ratio_styles(table, subject)
    panels, columns = _panels(table, subject)
    if len(measures) > 1:
        columns = len(measures)  # a panel for each, side by side
    places = [(*panel, measure) for panel in panels for measure in measures]
    rows = math.ceil(len(places) / columns)
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(max(3.5 * columns, 5.5), 2.6 * rows + 0.8), layout="constrained")
        axes = list(fig.subplots(rows, columns, squeeze=False, sharex=True).flat)
        for i, (ax, (label, cycle, measure)) in enumerate(zip(axes, places, strict=False)):
            _draw_panel(ax, table[table["run"] == label], cycle, measure, styles, subject)
            ax.set_title(f"{cycle} · {label}" if len(runs) > 1 else cycle)
            if len(measures) > 1 or i % columns == 0:
                ax.set_ylabel(subject.labels[measure])
            ax.tick_params(labelbottom=True)
            if i + columns >= len(places):
                ax.set_xlabel("generation")
        for ax in axes[len(places) :]:
            ax.set_axis_off()
        for measure in measures:
            shown = [ax for ax, (*_, drawn) in zip(axes, places, strict=False) if drawn == measure]
            _limits(shown, measure, table, subject)
        _finish(fig, axes[: len(places)], "share of fresh real data φ")
    return fig, table


def draw_headline(
    run: pd.DataFrame, subject: Subject, fields: Fields = MappingProxyType({})
) -> tuple[Figure, pd.DataFrame, str]:
    """Diversity beside correctness, for the cycle with the most fresh ratios; returns that cycle too.

    Beside the diversity of the networks, thin, are those of the memoriser and of the mean field, where there are any.
    """
    drawn = networks(run)
    looping = drawn[~drawn["cycle"].isin(subject.controls)]
    ratios = (looping if len(looping) else drawn).groupby("cycle", sort=False)["fresh_ratio"].nunique()
    cycle = str(ratios.idxmax())
    mine = drawn[drawn["cycle"].isin([cycle, *subject.controls])]
    table = curves({"": mine}, subject.headline).drop(columns="run")
    styles = _ratio_styles(table, subject)
    beside = theory(run, fields, cycle) if TRANSFORMER in set(drawn["learner"]) else pd.DataFrame()
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(9, 3.9), layout="constrained")
        axes = list(fig.subplots(1, 2))
        titles = "How diverse it is", "How correct it is" if subject.correctness else "How much is distinct"
        for ax, measure, title in zip(axes, subject.headline, titles, strict=True):
            _draw_panel(ax, table, cycle, measure, styles, subject)
            both = pd.concat([table, beside]) if measure == "levenshtein_diversity" else table
            _limits([ax], measure, both, subject)
            ax.set(xlabel="generation", ylabel=subject.labels[measure])
            ax.set_title(title)
        if len(beside):
            draw_theory(axes[0], beside, {ratio: style["color"] for ratio, style in styles.items()})
            table = pd.concat([table.assign(learner=TRANSFORMER), beside], ignore_index=True)
        _finish(fig, axes, f"What the model writes, cycle “{cycle}”, by share of fresh real data φ")
    return fig, table, cycle


def save(fig: Figure, table: pd.DataFrame, folder: Path, name: str) -> None:
    """Writes NAME.png, NAME.svg and NAME.csv."""
    with mpl.rc_context(STYLE):
        if engine := fig.get_layout_engine():
            engine.execute(fig)  # once for both files; `savefig` would lay out, and draw, twice for each
            fig.set_layout_engine("none")
        fig.set_dpi(200)
        FigureCanvasAgg(fig).print_png(folder / f"{name}.png", metadata={"Software": None})
        fig.set_dpi(72)
        FigureCanvasSVG(fig).print_svg(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
    table.to_csv(folder / f"{name}.csv", index=False)


def draw_all(runs: Runs, folder: Path, subject: Subject, fields: Fields = MappingProxyType({})) -> list[Drawn]:
    """Writes every figure of the networks into an existing folder; the headline, first, is of the first run.

    `fields`: the first run's mean fields, which the headline shows.
    """
    first = next(iter(runs.values()))
    runs = {label: networks(metrics) for label, metrics in runs.items()}
    many = any(metrics.groupby(["cycle", "fresh_ratio"])["seed"].nunique().max() > 1 for metrics in runs.values())
    control = any(metrics["cycle"].isin(subject.controls).any() for metrics in runs.values())
    how = [BAND] * many + [REFERENCE] * control
    notes = f" {'; '.join(how)}." if how else ""
    notes = notes[:1] + notes[1:2].upper() + notes[2:]
    fig, table, cycle = draw_headline(first, subject, fields)
    save(fig, table, folder, "headline")
    of = f" (run {next(iter(runs))})" if len(runs) > 1 else ""
    there = [name for name in CAPTIONS if name in set(table.get("learner", ()))]
    thin = f" Thin dotted lines: {'; '.join(CAPTIONS[name] for name in there)}." if there else ""
    drawn = [Drawn("headline", f"Diversity and correctness of the samples, cycle {cycle}{of}.{notes}{thin}")]
    for name, (measures, what) in subject.figures().items():
        save(*draw(runs, measures, subject), folder, name)
        drawn.append(Drawn(name, what + notes))
    return drawn
