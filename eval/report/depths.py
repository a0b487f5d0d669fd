"""The report's section on correctness by depth: does it rise because hard samples die out?"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.report.anatomies import anatomies
from eval.statistics.by_depth import ByDepth, decompose, pooled
from logic.language import Language
from loop.cell import Cell

if TYPE_CHECKING:
    from eval.report.build import Run

DEEPER = 2  # depths beyond those of real samples that have a row; the last one stands for all that is deeper
_ROUNDING = 1e-9  # sums of shares times correctness that are equal differ by as much
_MOST = 20  # depths that have a row, where those of real samples are not known


@dataclasses.dataclass(frozen=True)
class DepthTable:
    """One group of cells in its first and its last generation."""

    keys: dict[str, Any]  # of the group
    seeds: int
    generations: tuple[int, int]
    pooled: tuple[ByDepth, ByDepth]  # over the seeds
    change: dict[str, float | None]  # of correctness, and its parts: means over seeds with their intervals
    sentence: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One a depth, for the page; a correctness is None where there are no samples."""
        found = []
        for depth in range(len(self.pooled[0].samples_D)):
            row: dict[str, Any] = {"depth": depth}
            for name, x in zip(("first", "last"), self.pooled, strict=True):
                n = int(x.samples_D[depth])
                row |= {f"share_{name}": float(x.shares[depth]), f"samples_{name}": n}
                row[f"correctness_{name}"] = int(x.correct_D[depth]) / n if n else None
            found.append(row)
        return found


def groups_at_ends(run: "Run") -> list[tuple[tuple[Any, ...], tuple[int, int], list[tuple[Any, Any]]]]:
    """Every group's key, first and last generation, and the pairs of anatomies of the cells that reached the last."""
    from eval.statistics import curves

    found = []
    for key in curves.groups(run.metrics):
        rows = curves.rows_of(run.metrics, key)
        ends = int(rows["generation"].min()), int(rows["generation"].max())
        if ends[0] == ends[1]:
            continue
        first, last = ({Cell.of(a): a for a in anatomies(run, t)} for t in ends)
        cells = [Cell.of(row) for row in rows[rows["generation"] == ends[1]].to_dict("records")]
        found.append((key, ends, [(first[cell], last[cell]) for cell in cells if cell in first and cell in last]))
    return found


def depth_tables(run: "Run") -> list[DepthTable]:
    """Of all groups whose anatomies say how many samples of each depth are correct."""
    from eval.statistics.curves import GROUP, group_name
    from eval.statistics.intervals import mean_interval

    tables = []
    for key, ends, pairs in groups_at_ends(run):
        counted = [(_by_depth(run.language, a), _by_depth(run.language, b)) for a, b in pairs]
        whole = [(a, b) for a, b in counted if a is not None and b is not None]
        if not whole:
            continue
        changes = [decompose(a, b) for a, b in whole]
        both = pooled([a for a, _ in whole]), pooled([b for _, b in whole])
        total, composition, within = (mean_interval(values, (-1.0, 1.0)) for values in zip(*changes, strict=True))
        name, (before, after) = group_name(key), (x.correctness for x in both)
        sentence = (
            f"{name}: from generation {ends[0]} to {ends[1]} correctness went from {before:.1%} to {after:.1%}, "
            f"{_points(total)} points: {_points(composition)} because other depths became frequent, "
            f"{_points(within)} because samples of equal depth were correct more or less often."
        )
        if all(abs(part) < _ROUNDING for change in changes for part in change):
            sentence = f"{name}: correctness was {before:.1%} in generations {ends[0]} and {ends[1]} alike."
        estimates = {"change": total, "composition": composition, "within": within}
        change: dict[str, float | None] = {"correctness_first": before, "correctness_last": after}
        for part, estimate in estimates.items():
            change |= {part: estimate.mean, f"{part}_low": estimate.low, f"{part}_high": estimate.high}
        size = _rows(run.language, max(len(x.samples_D) for x in both))
        folded = both[0].to(size, fold=True), both[1].to(size, fold=True)
        tables.append(DepthTable(dict(zip(GROUP, key, strict=True)), len(whole), ends, folded, change, sentence))
    return tables


def _by_depth(language: Language, anatomy: Mapping[str, Any]) -> ByDepth | None:
    correct = anatomy.get("passed_by_depth", {}).get(language.correct)
    if not correct or not anatomy["samples"]:
        return None
    return ByDepth(np.array(anatomy["depth"], np.int64), np.array(correct, np.int64))


def _rows(language: Language, seen: int) -> int:
    exact = [len(statistic.distribution) for statistic in language.statistics if statistic.name == "depth"]
    return min(seen, exact[0] + DEEPER if exact else _MOST)


def _points(estimate: Any) -> str:
    """`+1.2 [+0.8, +1.6]`, in hundredths."""
    interval = "" if estimate.low is None else f" [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
    return f"{100 * estimate.mean:+.1f}{interval}"
