"""How much of what a model wrote is correct."""

import numpy as np

from logic.boolean.verifier import Verdicts


def correctness(verdicts: Verdicts) -> dict[str, float]:
    """Fractions of the samples with each verdict; there must be at least one sample."""
    return {
        "syntactic_correctness": float(np.mean(verdicts.syntactic)),
        "semantic_correctness": float(np.mean(verdicts.semantic)),
        "in_support": float(np.mean(verdicts.in_support)),
    }
