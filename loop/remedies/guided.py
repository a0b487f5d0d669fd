"""Away from what self-training does, symbol by symbol: the negative guidance of SIMS (Alemohammad et al.,
"Self-Improving Diffusion Models with Synthetic Data", arXiv 2408.16333), transferred to language models.

The source extrapolates the scores of a diffusion model, (1 + ω) s - ω s_copy, with s_copy of a copy that has learnt
from the model's own samples. A model of language has logits; with ω = `weight`, every symbol is drawn from

    softmax(((1 + ω) logits - ω logits_copy) / temperature)

The transfer is ours, as are `steps` and `learning_rate` (copies.py); the source chooses ω by experiment. Both models
write together, nothing else: the model that is stored, its losses, likelihoods and distances from R are of the plain
one, at temperature 1 as everywhere. A remedy that asks how probable it was that a sample was written
(`detector(oracle=True)`) is told of both together.
"""

import dataclasses
from typing import ClassVar

from loop.remedies.copies import AwayFromCopy
from loop.remedies.remedy import LOGITS


@dataclasses.dataclass(frozen=True)
class Guided(AwayFromCopy):
    """What self-training would make more probable is written less often."""

    weight: float = 1.0  # ω

    combines: ClassVar[str] = LOGITS
