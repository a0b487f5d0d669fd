"""Real and generated examples in the golden ratio (He et al., "Golden Ratio Weighting Prevents Model Collapse",
arXiv 2502.18049).

With k = real / generated examples of the training set, the real ones have in total the weight

    w = (sqrt(k² + 4k) - k) / 2

in the loss, and the generated ones 1 - w; with as many of either, 1 / w is the golden ratio. A training set of one kind
alone is not weighed.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from loop.examples import GENERATED, REAL, Examples
from loop.remedies.remedy import NETWORK, Weighs


@dataclasses.dataclass(frozen=True)
class Golden(Weighs):
    """The weight of all real examples together is `real`, by default the optimal one."""

    real: float | None = None  # total weight of the real examples; None: w of the equation

    needs: ClassVar[tuple[str, ...]] = (NETWORK,)

    def __post_init__(self) -> None:
        if self.real is not None and not 0 <= self.real <= 1:
            raise ValueError(f"real = {self.real}: allowed are 0 to 1, or None")

    def weights(self, train: Examples) -> np.ndarray:
        is_real_N = train.source == REAL
        reals, generated = int(is_real_N.sum()), int((train.source == GENERATED).sum())
        if not reals or not generated:
            return np.ones(len(train))
        w = golden_weight(reals / generated) if self.real is None else self.real
        return len(train) * np.where(is_real_N, w / reals, (1 - w) / generated)


def golden_weight(k: float) -> float:
    """w of real / generated = k."""
    return (math.sqrt(k * k + 4 * k) - k) / 2
