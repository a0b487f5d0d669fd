"""Symbols that the model is sure of count less: focal loss (Lin et al., "Focal Loss for Dense Object Detection",
arXiv 1708.02002; against the collapse compared in ForTIFAI, arXiv 2509.08972).

    loss = mean over all symbols of  -(1 - p)^γ log p
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from loop.remedies.remedy import NETWORK, Reshapes

if TYPE_CHECKING:
    import jax

_LEAST = 1e-7  # of 1 - p: below it the slope of a power under 1 has no bound


@dataclasses.dataclass(frozen=True)
class Focal(Reshapes):
    """The surer, the lighter."""

    gamma: float = 2.0

    needs: ClassVar[tuple[str, ...]] = (NETWORK,)

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 20:
            raise ValueError(f"gamma = {self.gamma}: allowed are 0 to 20")

    @staticmethod
    def symbol_weight(p_BT: "jax.Array", gamma: "jax.Array") -> "jax.Array":
        return (1 - p_BT).clip(_LEAST) ** gamma
