"""The training curves of the cells of an ensemble, filled in while they train."""

from collections.abc import Sequence

import numpy as np

from loop.storage.curve_files import no_curve
from loop.training.ensemble import Facts


class Curves:
    """One row per evaluation and cell: step, loss, train_loss, validation_loss; see loop/storage/curve_files.py."""

    def __init__(self, begun: Sequence[np.ndarray | None]):
        """`begun` has the curve of every cell so far, float64 [evaluations, 4]; None: nothing yet."""
        self._parts = [[no_curve() if curve is None else curve] for curve in begun]

    def add(self, trained: np.ndarray, facts: Facts) -> None:
        """Adds the evaluation that just ended, of the cells that have `trained` up to it, bool_N."""
        rows = np.stack([facts.step, facts.loss, facts.newest_train_loss, facts.newest_validation_loss], axis=1)
        for i in np.flatnonzero(trained).tolist():
            self._parts[i].append(rows[i : i + 1].astype(np.float64))

    def of(self, i: int) -> np.ndarray:
        """The curve of one cell."""
        return np.concatenate(self._parts[i])
