"""Symbols that the model is sure of leave the loss: truncated cross entropy (Shabgahi et al., "ForTIFAI: Fending Off
Recursive Training Induced Failure for AI Models", arXiv 2509.08972).

    loss = mean over all symbols of  -log p  if p <= γ, else 0
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from loop.remedies.remedy import NETWORK, Reshapes

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Truncated(Reshapes):
    """Only symbols of probability up to gamma are learnt."""

    gamma: float = 0.9

    needs: ClassVar[tuple[str, ...]] = (NETWORK,)

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma = {self.gamma}: allowed are 0 < gamma <= 1")

    @staticmethod
    def symbol_weight(p_BT: "jax.Array", gamma: "jax.Array") -> "jax.Array":
        return (p_BT <= gamma).astype(p_BT.dtype)
