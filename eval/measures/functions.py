"""What the subtrees of samples compute, against those of the real distribution, whose mix of functions is exact."""

from collections.abc import Sequence

import numpy as np

from eval.measures.measure import DISTANCE, Measure
from eval.measures.observation import Observation
from logic.language import Language


def tv_functions(o: Observation) -> float | None:
    """Total variation between the mix of truth functions over all subtrees of the samples in the support and R's.

    The plug-in estimate: biased upwards, by about sqrt(F / 2πn) for F functions in n independent subtrees, and more
    since the subtrees of one sample are not. None without samples in the support.
    """
    count_F, expected_F = function_counts(o.language, o.in_support)
    if not count_F.sum():
        return None
    return float(np.abs(count_F / count_F.sum() - expected_F / expected_F.sum()).sum() / 2)


def function_counts(language: Language, samples: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Subtrees of samples by their function, int64_F, and how many a sample of R has on average, float64_F."""
    assert language.functions is not None
    return language.functions.counts(samples), language.functions.expected


def functions(language: Language) -> Sequence[Measure]:
    """For a language with a support, whose real samples have the mix that is expected."""
    return [_TV] if language.support is not None else []


_TV = Measure(
    "tv_functions",
    tv_functions,
    "total variation of truth functions",
    DISTANCE,
    "",
    "total variation of the samples in the support from the real distribution, over the truth functions of subtrees",
    needs=("samples", "functions"),
)
