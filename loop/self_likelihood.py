"""How likely a model finds its own samples, and how likely the model of generation 0 finds them: M_t and M_0 on S_t.

Both are means in nats per symbol at temperature 1, over the first JUDGED samples of a cell: their nats in all by their
symbols in all. The `<eos>` that closes a sample counts as a symbol; one that fills the context has none.
"""

from collections.abc import Sequence

import numpy as np

JUDGED = 1000  # samples at most; they are independent, so that the first ones are as good as any
SELF, FIRST = "self_nll", "first_model_nll"  # the columns


def num_judged(num_samples: int) -> int:
    """How many samples of a generation are judged."""
    return min(JUDGED, num_samples)


def nats_per_symbol(nll_N: np.ndarray, samples: Sequence[bytes], context_length: int) -> float:
    """The mean over all symbols, from -log M(e) of each sample; infinite if one of them is."""
    symbols = sum(min(len(e) + 1, context_length) for e in samples)
    return float(np.sum(nll_N, dtype=np.float64) / symbols)
