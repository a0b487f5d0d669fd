"""The report's section on truth functions: which ones the loop forgets, and which ones take over."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.report.depths import groups_at_ends

if TYPE_CHECKING:
    from eval.report.build import Run

SHOWN = 12  # functions a group
LEAST = 1e-3  # share of all subtrees that a function must have, in R or in one of the generations, to be shown


@dataclasses.dataclass(frozen=True)
class FunctionTable:
    """The functions of one group whose share changed most, by its factor."""

    keys: dict[str, Any]  # of the group
    seeds: int
    generations: tuple[int, int]
    rows: list[dict[str, Any]]


def function_tables(run: "Run") -> list[FunctionTable]:
    """Of all groups; none for a language whose subtrees compute nothing."""
    from eval.statistics.curves import GROUP

    functions = run.language.functions
    if functions is None:
        return []
    expected_F = functions.expected / functions.expected.sum()
    tables = []
    for key, ends, pairs in groups_at_ends(run):
        count_EF = np.zeros((2, len(expected_F)), np.int64)
        for count_F, anatomies in zip(count_EF, zip(*pairs, strict=True), strict=False):
            for anatomy in anatomies:
                for function, subtrees in anatomy.get("functions", []):
                    count_F[function] += subtrees
        if not count_EF.sum(axis=1).all():
            continue
        share_EF = count_EF / count_EF.sum(axis=1, keepdims=True)
        chosen = most_changed(count_EF, expected_F)
        rows = [
            {
                "function": functions.spell(function),
                "real": float(expected_F[function]),
                "first": float(share_EF[0, function]),
                "last": float(share_EF[1, function]),
                "first_over_real": _ratio(share_EF[0, function], expected_F[function]),
                "last_over_real": _ratio(share_EF[1, function], expected_F[function]),
            }
            for function in chosen.tolist()
        ]
        tables.append(FunctionTable(dict(zip(GROUP, key, strict=True)), len(pairs), ends, rows))
    return tables


def most_changed(count_EF: np.ndarray, expected_F: np.ndarray) -> np.ndarray:
    """The functions whose share changed by the largest factor from the first row of counts to the last, int64.

    Half a subtree is added to every count, so that a function that dies out has a factor. Only those above LEAST
    that were seen at all.
    """
    share_EF = count_EF / count_EF.sum(axis=1, keepdims=True)
    smoothed_EF = (count_EF + 0.5) / (count_EF.sum(axis=1, keepdims=True) + 0.5)
    factor_F = np.abs(np.log(smoothed_EF[1] / smoothed_EF[0]))
    factor_F[(np.maximum(share_EF.max(axis=0), expected_F) < LEAST) | ~count_EF.any(axis=0)] = 0
    order = np.argsort(-factor_F, kind="stable")[:SHOWN]
    return order[factor_F[order] > 0]


def _ratio(share: float, of: float) -> float | None:
    return float(share / of) if of > 0 else None
