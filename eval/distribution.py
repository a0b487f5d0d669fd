"""Samples against the true distribution, which is known exactly."""

from collections.abc import Iterable

import numpy as np

from logic.grammar import Grammar


def support_coverage(distinct: Iterable[bytes], grammar: Grammar) -> float:
    """Probability mass under R of a set of distinct expressions, in [0, 1]."""
    return float(np.exp(grammar.log_probability(list(distinct))).sum())
