"""The data of the report's page: measures of every cell, and views into it at every generation.

What reaches the page is bounded: a few samples and clipped histograms per cell and generation, every text once, and no
more than LIMIT cells x generations.
"""

import dataclasses
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eval.report import charts
from logic.boolean.grammar import Grammar
from logic.boolean.symbols import decode
from logic.boolean.verifier import Verdicts
from loop.cell import Cell
from loop.storage.checksums import Damaged
from loop.storage.reader import RunReader

if TYPE_CHECKING:
    import pandas as pd

    from eval.report.build import Run

KINDS = {  # the verdicts as the report shows them: class, symbol, meaning
    "support": ("●", "in support: what the generator of the real data could have written"),
    "correct": ("◆", "correct, but outside the support"),
    "syntactic": ("▲", "an expression, but not true"),
    "malformed": ("✕", "not an expression"),
}
SHOWN_SAMPLES = 10
LONGEST_SAMPLE = 200  # characters; what is longer is cut
LIMIT = 4000  # cells x generations that can be looked into; of more, some generations are left out
DISSECTED = 120  # the same for a run without anatomy files, where the samples have to be read
BARS = 40  # of the histogram of lengths, before the last one for all that is longer
DEEPER = 2  # depths beyond the bound that have a bar; the last one stands for all that is deeper


class Shown(NamedTuple):
    """One sample as it is shown."""

    text: str
    kind: str  # of KINDS


def kind_of(syntactic: bool, semantic: bool, in_support: bool) -> str:
    """The verdict as one of KINDS."""
    return "support" if in_support else "correct" if semantic else "syntactic" if syntactic else "malformed"


def _clipped(text: str, symbols: int) -> str:
    return f"{text[:LONGEST_SAMPLE]} … ({symbols} symbols)" if len(text) > LONGEST_SAMPLE else text or "∅"


def show_samples(expressions: Sequence[bytes], verdicts: Verdicts) -> list[Shown]:
    """Text and verdict of each sample; the empty one is ∅."""
    rows = zip(expressions, decode(expressions), *verdicts, strict=True)
    return [Shown(_clipped(text, len(e)), kind_of(*verdict)) for e, text, *verdict in rows]


def first_samples(directory: RunReader, cells: Sequence[Cell], generation: int) -> dict[Cell, list[Shown]]:
    """The first samples of cells in one generation, in their order; what cannot be read is left out.

    Opens the data set once for all cells and reads one block of each: thousands of cells and generations take seconds.
    """
    found: dict[Cell, list[Shown]] = {}
    for part in directory.shard_directories():
        if part.has_samples(generation):
            found |= _first_samples(part, cells, generation)
    return found


def _first_samples(directory: RunReader, cells: Iterable[Cell], generation: int) -> dict[Cell, list[Shown]]:
    found = {}
    try:
        import tensorflow_datasets as tfds

        from loop.storage.samples import split_name

        builder = tfds.builder_from_directory(directory.samples_path(generation))
        for cell in cells:
            if split_name(cell.name) not in builder.info.splits:
                continue
            directory.check_samples(cell, generation)
            blocks = builder.as_data_source(split_name(cell.name))
            if len(blocks):
                block, n = blocks[0], SHOWN_SAMPLES
                rows = zip(block["symbols"][:n], block["length"][:n], strict=True)
                verdicts = Verdicts(*(block[name][:n] for name in Verdicts._fields))
                found[cell] = show_samples([row[:length].tobytes() for row, length in rows], verdicts)
    except (ImportError, OSError, KeyError, Damaged) as error:  # no TFDS on this machine, or samples were removed
        print(f"eval.report: no samples of generation {generation}: {error}", file=sys.stderr)
    return found


class SampleColumn(NamedTuple):
    """The first samples of one cell and generation."""

    generation: int
    diversity: float
    unique_fraction: float
    samples: list[Shown]
    repeats: list[bool]  # whether a sample is the same as one above it


def sample_columns(run: "Run") -> list[tuple[Cell, list[SampleColumn]]]:
    """The first, the middle and the last generation of every cell whose samples can be read."""
    tables = cells_of(run.metrics)
    wanted: dict[Cell, list[int]] = {}
    for cell, table in tables.items():
        there = [int(t) for t in table["generation"] if run.directory.has_samples(int(t))]
        wanted[cell] = sorted({there[0], there[len(there) // 2], there[-1]}) if there else []
    read = {
        t: first_samples(run.directory, [cell for cell in wanted if t in wanted[cell]], t)
        for t in sorted({t for generations in wanted.values() for t in generations})
    }
    found = []
    for cell, generations in wanted.items():
        rows = tables[cell].set_index("generation")[["levenshtein_diversity", "unique_fraction"]].astype(float)
        shown = {t: read[t][cell] for t in generations if cell in read[t]}
        columns = []
        for t, samples in shown.items():
            diversity, unique = map(float, rows.loc[t])
            repeats = [s in samples[:i] for i, s in enumerate(samples)]
            columns.append(SampleColumn(t, diversity, unique, samples, repeats))
        if columns:
            found.append((cell, columns))
    return found


# The data of the page.


def evenly(values: Sequence[int], most: int) -> list[int]:
    """At most so many (two at least) of the values, evenly spread, with the first and the last."""
    places = np.linspace(0, len(values) - 1, min(len(values), max(most, 2)))
    return [values[i] for i in np.unique(places.round().astype(int))]


def _folded(counts: Sequence[int], bars: int, width: int = 1) -> list[int]:
    """A histogram of bars of that width; all that lies beyond the last one is counted there."""
    places = np.minimum(np.arange(len(counts)) // width, bars - 1)
    return np.bincount(places, counts, bars).astype(int).tolist()


class _Language:
    """The true distributions of a run's language, where its configuration names one, in the histograms' bars."""

    def __init__(self, config: Mapping[str, Any], anatomies: Iterable[Mapping[str, Any]]):
        bounds = config.get("language", {})
        self.grammar = Grammar(bounds["min_depth"], bounds["max_depth"]) if "max_depth" in bounds else None
        if self.grammar is None:
            longest = max((len(a["length"]) for a in anatomies), default=1)
            self.depths = max((len(a["depth"]) for a in anatomies), default=1)
        else:
            length = self.grammar.length_distribution()
            longest = int(np.searchsorted(length.cumsum(), 0.999)) + 1
            self.depths = self.grammar.max_depth + 1 + DEEPER
        self.width = math.ceil(longest / BARS)
        self.lengths = math.ceil(longest / self.width) + 1

    def truth(self) -> dict[str, list[float]] | None:
        """Probability of each bar."""
        if self.grammar is None:
            return None
        depth = np.pad(self.grammar.depth_distribution(), (0, DEEPER))
        length = self.grammar.length_distribution()
        bar = np.minimum(np.arange(len(length)) // self.width, self.lengths - 1)
        return {"depth": _rounded(depth), "length": _rounded(np.bincount(bar, length, self.lengths))}


def _rounded(values: Iterable[float]) -> list[Any]:
    """Five digits; what is not finite is null, whole numbers are written as such."""
    numbers = (float(f"{v:.5g}") if abs(v) < 1e5 else round(v, 1) for v in map(float, values))
    return [None if not math.isfinite(v) else int(v) if v == int(v) else v for v in numbers]


def _dissect(run: "Run", cells: Sequence[Cell], generation: int) -> list[dict[str, Any]]:
    """The anatomies of a generation; of a run without anatomy files, from its samples, without their descent."""
    found = run.directory.read_anatomy(generation)
    bounds = run.record["config"].get("language", {})
    if found or "max_depth" not in bounds or not run.directory.has_samples(generation):
        return found
    from eval.measures.anatomy import anatomy
    from logic.boolean.language import Boolean
    from loop.examples import Examples

    grammar = Grammar(bounds["min_depth"], bounds["max_depth"])
    unknown = Examples.drawn([], 0)
    for cell in cells:
        try:
            samples = run.directory.read_samples(cell, generation)
        except (ImportError, OSError, KeyError, Damaged):  # a cell that has ended; first_samples says what is wrong
            continue
        written = Examples.written(samples.expressions, generation, unknown)
        part = anatomy(written, samples.verdicts, unknown, Boolean(**dataclasses.asdict(grammar)))
        found.append(cell.keys | {"generation": generation} | part | {"roots": []})
    return found


def cells_of(metrics: "pd.DataFrame") -> dict[Cell, "pd.DataFrame"]:
    """Every cell's rows, in order of generation."""
    keys = ["cycle", "fresh_ratio", "seed"]
    groups = metrics.sort_values("generation", kind="stable").groupby(keys, sort=False)
    tables = {Cell(str(c), float(r), int(s)): table for (c, r, s), table in groups}
    order = metrics[keys].drop_duplicates().itertuples(index=False)
    return {cell: tables[cell] for cell in (Cell(str(c), float(r), int(s)) for c, r, s in order)}


def run_data(run: "Run") -> dict[str, Any]:
    """All that the page shows of one run: measures of every cell, and views into cells at some generations."""
    tables = cells_of(run.metrics)
    generations = sorted({int(t) for t in run.metrics["generation"]})
    has_anatomy = any(run.directory.read_anatomy(t) for t in (generations[0], generations[-1]))
    most = (LIMIT if has_anatomy else DISSECTED) // len(tables)
    seen = evenly(generations, most)
    there = {t: [cell for cell, table in tables.items() if t in set(table["generation"])] for t in seen}
    anatomies = {t: _dissect(run, there[t], t) for t in seen}
    first = {t: first_samples(run.directory, there[t], t) for t in seen}
    language = _Language(run.record["config"], [a for parts in anatomies.values() for a in parts])
    texts: dict[Shown, int] = {}  # every text once: samples repeat each other, the more the further the collapse
    views: dict[Cell, dict[int, dict[str, Any]]] = {cell: {} for cell in tables}
    for t in seen:
        for cell, samples in first[t].items():
            views[cell].setdefault(t, {})["first"] = [texts.setdefault(s, len(texts)) for s in samples]
        for a in anatomies[t]:
            cell = Cell(a["cycle"], float(a["fresh_ratio"]), int(a["seed"]))
            if cell not in views:
                continue
            top = [
                (Shown(_clipped(e["expression"], len(e["expression"].split())), _kind(e)), e["share"], e["probability"])
                for e in a["top"]
            ]
            views[cell].setdefault(t, {}).update(
                samples=a["samples"],
                distinct=a["distinct"],
                depth=_folded(a["depth"], language.depths),
                length=_folded(a["length"], language.lengths, language.width),
                top=[[texts.setdefault(s, len(texts)), *_rounded(numbers)] for s, *numbers in top],
                roots=a["roots"],
            )
    return {
        "label": run.label,
        "truth": language.truth(),
        "width": language.width,
        "texts": list(texts),
        "cells": [
            {"name": cell.name, **cell.keys, **_measured(table), "views": views[cell]} for cell, table in tables.items()
        ],
    }


def _kind(entry: Mapping[str, Any]) -> str:
    return kind_of(*(entry[name] for name in Verdicts._fields))


def _measured(table: "pd.DataFrame") -> dict[str, Any]:
    numbers = charts.numeric(table)
    values = {name: _rounded(numbers[name]) for name in numbers}
    return {"generations": [int(t) for t in table["generation"]], "values": values}


def page_data(runs: Sequence["Run"]) -> dict[str, Any]:
    """What report.js reads."""
    ratios = sorted({float(r) for run in runs for r in run.metrics.loc[run.metrics["cycle"] != "fresh", "fresh_ratio"]})
    light, dark = charts.colours(len(ratios))
    return {
        "runs": [run_data(run) for run in runs],
        "measures": charts.measures_of([run.metrics for run in runs]),
        "ratios": ratios,
        "colours": {"light": light, "dark": dark},
        "kinds": KINDS,
        "charts": {"measure": charts.MEASURE_CHART, "histogram": charts.HISTOGRAM, "descent": charts.DESCENT},
    }
