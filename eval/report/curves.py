"""Training curves as the report's page shows them: bounded, however long and wide the run is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from loop.cell import Cell
from loop.storage.curve_files import EVALUATION

if TYPE_CHECKING:
    from eval.report.build import Run

LIMIT = 40_000  # evaluations of all cells and generations; of more, generations are left out
LONGEST = 100  # evaluations of one curve; of more, some are left out, never the first or the last
Shown = dict[str, list]  # step, train_loss, validation_loss
T = TypeVar("T")


def evenly(values: Sequence[T], most: int) -> list[T]:
    """At most so many (two at least) of the values, evenly spread, with the first and the last."""
    places = np.linspace(0, len(values) - 1, min(len(values), max(most, 2)))
    return [values[i] for i in np.unique(places.round().astype(int))]


def shown_curves(run: "Run") -> dict[Cell, dict[int, Shown]]:
    """cell -> generation -> its curve, for the cells of the run that have any; a loss that is not finite is None."""
    every = {t: run.directory.read_curves(t) for t in sorted({int(t) for t in run.metrics["generation"]})}
    every = {t: curves for t, curves in every.items() if curves}
    if not every:
        return {}
    cells = [cell for cell in run.cells if any(cell in curves for curves in every.values())]
    longest = max(len(curve) for curves in every.values() for curve in curves.values())
    points = min(longest, LONGEST, max(2, LIMIT // (2 * max(len(cells), 1))))
    there = evenly(list(every), LIMIT // (points * max(len(cells), 1)))
    return {cell: {t: _shown(every[t][cell], points) for t in there if cell in every[t]} for cell in cells}


def _shown(curve: np.ndarray, points: int) -> Shown:
    rows = evenly(curve.tolist(), points)
    columns = dict(zip(EVALUATION, zip(*rows, strict=True), strict=True))
    losses = {name: [_rounded(x) for x in columns[name]] for name in ("train_loss", "validation_loss")}
    return {"step": [int(step) for step in columns["step"]], **losses}


def _rounded(loss: float) -> float | None:
    return float(f"{loss:.5g}") if np.isfinite(loss) else None
