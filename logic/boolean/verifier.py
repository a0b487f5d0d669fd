"""The three verdicts on a sample (syntactic, semantic, in support)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from logic.boolean.grammar import Grammar
from logic.boolean.truth_table import Evaluation, evaluate


class Verdicts(NamedTuple):
    """Per expression, bool arrays of N; each verdict implies the one before."""

    syntactic: np.ndarray  # one boolean expression by Python's grammar
    semantic: np.ndarray  # syntactic, and true in every row of its truth table
    in_support: np.ndarray  # semantic, and exactly what the generator could have written


def verify(expressions: Sequence[bytes], grammar: Grammar) -> Verdicts:
    """Verifies any sequences of symbols; never by running them as code."""
    return judge(evaluate(expressions, grammar.num_variables), grammar)


def judge(e: Evaluation, grammar: Grammar) -> Verdicts:
    """The verdicts on expressions that have been evaluated, for those who need their truth tables as well."""
    return Verdicts(e.syntactic, e.value, grammar.admits(e))
