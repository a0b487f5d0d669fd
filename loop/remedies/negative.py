"""Away from what self-training does: negative extrapolation (Alemohammad, Wang and Baraniuk, "Neon: Negative
Extrapolation From Self-Training Improves Image Generation", arXiv 2510.03597).

A copy of the trained model learns for some steps from the model's own samples; then, with w = `weight`,

    θ <- θ + w (θ - θ_copy)

writes the samples. The source's models are of images; its small number of steps and samples is kept here.
"""

import dataclasses
from typing import ClassVar

from loop.remedies.remedy import NETWORK, Combines


@dataclasses.dataclass(frozen=True)
class Negative(Combines):
    """Undoes the beginning of a collapse before it happens."""

    weight: float = 0.5
    steps: int = 20  # of Adam, on windows like those of the training
    learning_rate: float = 1e-4  # constant

    needs: ClassVar[tuple[str, ...]] = (NETWORK,)

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 10:
            raise ValueError(f"weight = {self.weight}: allowed are 0 to 10")
        if self.steps < 1:
            raise ValueError(f"steps = {self.steps}: allowed are integers from 1")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate = {self.learning_rate}: allowed are numbers above 0")
