"""Symbols of real examples that the model finds too probable are drawn anew: ToEdit (Zhu et al., "How to Synthesize
Text Data without Model Collapse?", ICML 2025, arXiv 2412.14689).

With p(x_i) the probability that the model gives to the symbol x_i after those before it, as they stood,

    x_i <- a draw from the `top_k` most probable symbols  if p(x_i) > `threshold`, else x_i

at temperature 1, all symbols in one forward pass. In the source a trained model edits human data, from which the next
model learns. Here the newest model M_t edits the real examples that come with its own samples: the fresh part, φ, of
the block N_t that it leaves behind. D_0 was there before any model and stays as it is; where φ = 0 nothing is edited,
and the cell equals `none`.

Adapted to a vocabulary of eight: the source's eight candidates are all there are. `<eos>` is neither edited nor drawn,
so that an example keeps its length. What a model is sure of is mostly what the grammar demands, so that edits break
expressions: `examples_edited` and `examples_broken` count the examples that an edit has changed, and made incorrect. An
edited example still counts as real; the root of one that was changed is the model that changed it.
"""

import dataclasses
from typing import ClassVar

from loop.remedies.remedy import NETWORK, Edits


@dataclasses.dataclass(frozen=True)
class Edit(Edits):
    """Makes real examples a little less predictable."""

    threshold: float = 0.99
    top_k: int = 8

    needs: ClassVar[tuple[str, ...]] = (NETWORK,)

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold = {self.threshold}: allowed are 0 to 1")
        if not 1 <= self.top_k <= 255:
            raise ValueError(f"top_k = {self.top_k}: allowed are integers from 1 to 255")
