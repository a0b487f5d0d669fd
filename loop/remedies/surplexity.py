"""The samples that surprise the newest model most (Gambetta et al., "Learning by Surprise: Surplexity for Mitigating
Model Collapse in Generative AI", arXiv 2410.12341).

A sample of T symbols, `<eos>` included, has under the newest model M the perplexity

    exp(-log M(e) / T),

and those of the largest perplexity are taken, from all samples of the last `pool` generations. Ties go to the newest
and first written.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from loop.remedies.remedy import SURPRISE, Pool, Selects, check_fill


@dataclasses.dataclass(frozen=True)
class Surplexity(Selects):
    """The most surprising of the samples of several generations."""

    pool: int = 3  # generations whose samples are there to choose from, the newest included
    fill: str = "repeat"

    needs: ClassVar[tuple[str, ...]] = (SURPRISE,)

    def __post_init__(self) -> None:
        if not 1 <= self.pool <= 100:
            raise ValueError(f"pool = {self.pool}: allowed are 1 to 100")
        check_fill(self.fill)

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        symbols_N = np.array([min(len(e) + 1, pool.context_length) for e in pool.samples.expressions])
        return np.argsort(-pool.nats / symbols_N, kind="stable")[:wanted]
