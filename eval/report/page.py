"""The data of the report's page: measures of every cell, and views into it at every generation.

What reaches the page is bounded: a few samples and clipped histograms per cell and generation, every text once, and no
more than LIMIT cells x generations.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.report import charts
from eval.report.anatomies import anatomies
from eval.report.curves import evenly, shown_curves
from eval.report.depths import DEEPER
from eval.report.samples import Shown, clipped, first_samples, kind_of, kinds
from logic.language import Language
from loop.cell import Cell

if TYPE_CHECKING:
    import pandas as pd

    from eval.report.build import Run

LIMIT = 4000  # cells x generations that can be looked into; of more, some generations are left out
DISSECTED = 120  # the same for a run without anatomy files, where the samples have to be read
BARS = 40  # of the histogram of lengths, before the last one for all that is longer


def _folded(counts: Sequence[int], bars: int, width: int = 1) -> list[int]:
    """A histogram of bars of that width; all that lies beyond the last one is counted there."""
    places = np.minimum(np.arange(len(counts)) // width, bars - 1)
    return np.bincount(places, counts, bars).astype(int).tolist()


class _Histograms:
    """The bars of depths and lengths, and their probabilities under R where the language knows them exactly."""

    def __init__(self, language: Language, dissected: Sequence[Mapping[str, Any]]):
        exact = {statistic.name: statistic.distribution for statistic in language.statistics}
        seen = {what: max((len(a.get(what, [])) for a in dissected), default=1) for what in ("depth", "length")}
        self.exact = {what: exact[what] for what in seen if what in exact}
        self.depths = len(exact["depth"]) + DEEPER if "depth" in exact else max(seen["depth"], 1)
        longest = int(np.searchsorted(exact["length"].cumsum(), 0.999)) + 1 if "length" in exact else seen["length"]
        self.width = math.ceil(max(longest, 1) / BARS)
        self.lengths = math.ceil(longest / self.width) + 1

    def bars(self, anatomy: Mapping[str, Any]) -> dict[str, list[int]]:
        """How many samples fall into each bar."""
        depth = {"depth": _folded(anatomy["depth"], self.depths)} if "depth" in anatomy else {}
        return depth | {"length": _folded(anatomy["length"], self.lengths, self.width)}

    def truth(self) -> dict[str, list[float]]:
        """Probability of each bar."""
        found = {}
        if "depth" in self.exact:
            found["depth"] = _rounded(np.pad(self.exact["depth"], (0, DEEPER)))
        if "length" in self.exact:
            length = self.exact["length"]
            bar = np.minimum(np.arange(len(length)) // self.width, self.lengths - 1)
            found["length"] = _rounded(np.bincount(bar, length, self.lengths))
        return found


def _rounded(values: Iterable[float | None]) -> list[Any]:
    """Five digits; what is not finite is null, whole numbers are written as such."""
    numbers = (
        float(f"{v:.5g}") if abs(v) < 1e5 else round(v, 1)
        for v in (float("nan") if value is None else float(value) for value in values)
    )
    return [None if not math.isfinite(v) else int(v) if v == int(v) else v for v in numbers]


def run_data(run: "Run") -> dict[str, Any]:
    """All that the page shows of one run: measures of every cell, and views into cells at some generations."""
    tables, curves = run.cells, shown_curves(run)
    generations = sorted({int(t) for t in run.metrics["generation"]})
    has_anatomy = any(run.directory.read_anatomy(t) for t in (generations[0], generations[-1]))
    most = (LIMIT if has_anatomy else DISSECTED) // len(tables)
    seen = evenly(generations, most)
    there = {t: [cell for cell, table in tables.items() if t in set(table["generation"])] for t in seen}
    dissected = {t: anatomies(run, t) for t in seen}
    first = {t: first_samples(run, there[t], t) for t in seen}
    histograms = _Histograms(run.language, [a for parts in dissected.values() for a in parts])
    texts: dict[Shown, int] = {}  # every text once: samples repeat each other, the more the further the collapse
    views: dict[Cell, dict[int, dict[str, Any]]] = {cell: {} for cell in tables}
    for t in seen:
        for cell, samples in first[t].items():
            views[cell].setdefault(t, {})["first"] = [texts.setdefault(s, len(texts)) for s in samples]
        for a in dissected[t]:
            cell = Cell.of(a)
            if cell not in views:
                continue
            top = [
                (Shown(clipped(e["expression"], len(e["expression"].split())), _kind(run.language, e)), e)
                for e in a["top"]
            ]
            views[cell].setdefault(t, {}).update(
                samples=a["samples"],
                distinct=a["distinct"],
                **histograms.bars(a),
                top=[[texts.setdefault(s, len(texts)), *_rounded([e["share"], e["probability"]])] for s, e in top],
                roots=a["roots"],
            )
    return {
        "label": run.label,
        "controls": sorted(run.controls),
        "facts": [
            ("diversity", "levenshtein_diversity"),
            ("unique", "unique_fraction"),
            *((verdict.label, verdict.column) for verdict in run.language.verdicts),
            ("most frequent", "top1_share"),
        ],
        "truth": histograms.truth(),
        "width": histograms.width,
        "texts": list(texts),
        "cells": [
            {"name": cell.name, **cell.keys, "panel": _panel(cell), **_measured(table), "views": views[cell]}
            | ({"curves": curves[cell]} if cell in curves else {})
            for cell, table in tables.items()
        ],
    }


def _panel(cell: Cell) -> str:
    """The chart in which a cell's curve is drawn: that of its cycle, or of its cycle with another learner."""
    from eval.statistics.curves import GROUP, family_name

    return family_name(tuple(cell.keys[name] for name in GROUP))


def _kind(language: Language, entry: Mapping[str, Any]) -> str:
    return kind_of(language, (entry[verdict.name] for verdict in language.verdicts))


def _measured(table: "pd.DataFrame") -> dict[str, Any]:
    numbers = charts.numeric(table)
    values = {name: _rounded(numbers[name]) for name in numbers}
    return {"generations": [int(t) for t in table["generation"]], "values": values}


def page_data(runs: Sequence["Run"]) -> dict[str, Any]:
    """What report.js reads."""
    ratios = sorted({cell.fresh_ratio for run in runs for cell in run.cells if cell.cycle not in run.controls})
    light, dark = charts.colours(len(ratios))
    return {
        "runs": [run_data(run) for run in runs],
        "measures": charts.measures_of([run.metrics for run in runs], [run.language for run in runs]),
        "ratios": ratios,
        "colours": {"light": light, "dark": dark},
        "kinds": {name: kind for run in runs for name, kind in kinds(run.language).items()},
        "charts": {
            "measure": charts.MEASURE_CHART,
            "histogram": charts.HISTOGRAM,
            "descent": charts.DESCENT,
            "curves": charts.CURVES,
        },
    }
