"""Away from what self-training does: negative extrapolation (Alemohammad, Wang and Baraniuk, "Neon: Negative
Extrapolation From Self-Training Improves Image Generation", arXiv 2510.03597).

With θ_copy the parameters of a copy that has learnt from the model's own samples (copies.py), and w = `weight`,

    θ <- θ + w (θ - θ_copy)

writes the samples, and is what is stored and measured. The source's models are of images; its small number of steps and
samples is kept here.
"""

import dataclasses
from typing import ClassVar

from loop.remedies.copies import AwayFromCopy
from loop.remedies.remedy import PARAMETERS


@dataclasses.dataclass(frozen=True)
class Negative(AwayFromCopy):
    """Undoes the beginning of a collapse before it happens."""

    combines: ClassVar[str] = PARAMETERS
