"""The models of generation 0, which judge what later ones write."""

from typing import NamedTuple

import jax
import numpy as np


class First(NamedTuple):
    """The models of generation 0, on the host: a device needs them only while it judges samples."""

    params: dict  # one entry per cell; zeros for cells that are not `held`
    known: np.ndarray  # bool_N: False where there is none: not held here, not past generation 0, ended, or lost

    def beside(self, other: "First | None") -> "First":
        """These models, and the other ones' where none is known here."""
        if other is None:
            return self

        def choose(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            return np.where(self.known.reshape(-1, *[1] * (mine.ndim - 1)), mine, theirs)

        return First(jax.tree.map(choose, self.params, other.params), self.known | other.known)
