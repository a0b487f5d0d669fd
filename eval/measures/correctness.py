"""How much of what a model wrote is correct, and why the rest is not: by the verdicts of its language."""

from collections.abc import Sequence

import numpy as np

from eval.measures.measure import WRITES, Measure
from eval.measures.observation import Observation
from logic.language import Language, Verdict


def correctness(language: Language) -> Sequence[Measure]:
    """The fraction of the samples that pass each verdict."""
    return [_passing(verdict) for verdict in language.verdicts]


def _passing(verdict: Verdict) -> Measure:
    def fraction(o: Observation) -> float:
        return float(np.mean(o.verdicts[verdict.name]))

    return Measure(verdict.column, fraction, verdict.label, WRITES, "", verdict.meaning)


def outside(language: Language) -> Sequence[Measure]:
    """The fraction of the samples whose first failed verdict is this one; with those that pass all it sums to one."""
    before = (None, *language.verdicts)
    return [_failing(verdict, last) for last, verdict in zip(before, language.verdicts, strict=False)]


def _failing(verdict: Verdict, before: Verdict | None) -> Measure:
    def fraction(o: Observation) -> float:
        failed_N = ~o.verdicts[verdict.name]
        return float(np.mean(failed_N if before is None else o.verdicts[before.name] & failed_N))

    label = verdict.failure_label
    return Measure(verdict.failure, fraction, label, WRITES, "", f"fraction of samples {label}")
