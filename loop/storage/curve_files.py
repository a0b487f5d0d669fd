"""Training curves: what every evaluation of a generation's training found, as a table.

training/generation_0007.csv     the cell's keys, generation, step, and three losses in nats per symbol:
                                 `loss`             mean over the steps since the evaluation before
                                 `train_loss`       on batches of the training set, without dropout
                                 `validation_loss`  likewise on the validation set
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from loop.cell import KEYS, Cell
from loop.storage.atomic_files import write_atomically
from loop.storage.checksums import Damaged

EVALUATION = ("step", "loss", "train_loss", "validation_loss")  # columns of a curve: float64 [evaluations, 4]


def no_curve() -> np.ndarray:
    """The curve of no evaluation."""
    return np.zeros((0, len(EVALUATION)))


def write_curves(path: Path, generation: int, curves: Mapping[Cell, np.ndarray]) -> None:
    """Writes the curves of a generation's cells; all digits of every loss, `inf` and `nan` for what is not finite."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*KEYS, *EVALUATION])
    for cell, curve in curves.items():
        of = {**cell.keys, "generation": generation}
        for step, *losses in curve.tolist():
            writer.writerow([*(of[key] for key in KEYS), int(step), *losses])
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, text.getvalue())


def read_curves(path: Path) -> dict[Cell, np.ndarray]:
    """The curves of a generation's cells; none if there is no file. Raises Damaged if it cannot be read."""
    if not path.exists():
        return {}
    found: dict[Cell, list[list[float]]] = {}
    try:
        for row in csv.DictReader(io.StringIO(path.read_bytes().decode())):
            found.setdefault(Cell.of(row), []).append([float(row[name]) for name in EVALUATION])
    except (ValueError, KeyError, TypeError, csv.Error):
        raise Damaged(f"{path} is damaged: it is no table of training curves") from None
    return {cell: np.array(rows) for cell, rows in found.items()}
