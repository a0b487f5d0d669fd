"""The three verdicts on a sample (design: syntactic, semantic, in support)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from logic.boolean.grammar import Grammar
from logic.boolean.truth_table import evaluate


class Verdicts(NamedTuple):
    """Per expression, bool arrays of N; each verdict implies the one before."""

    syntactic: np.ndarray  # one boolean expression by Python's grammar
    semantic: np.ndarray  # syntactic, and true in every row of its truth table
    in_support: np.ndarray  # semantic, and exactly what the generator could have written


def verify(expressions: Sequence[bytes], grammar: Grammar) -> Verdicts:
    """Verifies any sequences of symbols; never by running them as code."""
    e = evaluate(expressions)
    return Verdicts(e.syntactic, e.value, grammar.admits(e))
