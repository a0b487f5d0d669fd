"""Another temperature or top-p while the model writes: how much of a fall is the sampler's alone.

Top-p is that of Holtzman et al. (arXiv 1904.09751).

    symbol ~ softmax(logits / temperature), cut to the most probable symbols of mass top_p
"""

import dataclasses
from typing import ClassVar

from loop.remedies.remedy import Samples


@dataclasses.dataclass(frozen=True)
class Sampled(Samples):
    """The defaults are the model's own distribution, neither sharpened nor cut."""

    temperature: float = 1.0
    top_p: float = 1.0

    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not 0 < self.temperature <= 100:
            raise ValueError(f"temperature = {self.temperature}: allowed are numbers above 0, to 100")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p = {self.top_p}: allowed are 0 < top_p <= 1")
