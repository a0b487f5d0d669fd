"""What `negative` and `guided` share: a copy of the trained model that learns for some steps from the model's own
samples, and so shows what self-training does. The samples are drawn as those of the loop are, from a stream of their
own; the copy takes steps of Adam at a constant rate, on windows like those of the training.
"""

import dataclasses
from typing import ClassVar

from loop.remedies.remedy import NETWORK, Combines


@dataclasses.dataclass(frozen=True)
class AwayFromCopy(Combines):
    """Goes away from the copy; in what sense, the remedies say."""

    weight: float = 0.5  # how far
    steps: int = 20  # of the copy
    learning_rate: float = 1e-4

    needs: ClassVar[tuple[str, ...]] = (NETWORK,)

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 10:
            raise ValueError(f"weight = {self.weight}: allowed are 0 to 10")
        if self.steps < 1:
            raise ValueError(f"steps = {self.steps}: allowed are integers from 1")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate = {self.learning_rate}: allowed are numbers above 0")
