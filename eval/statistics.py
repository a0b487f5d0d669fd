"""A run's summary: every cell, every (cycle, fresh ratio) across its seeds, and the paper's findings checked on it.

A cell *consumes its own output* unless it is a control: the cycle `fresh`, or a fresh ratio of 1.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from eval.measures import COLUMNS

Values = dict[int, float]  # by seed: cells of equal seed share their random numbers, so they are compared in pairs

CELL = ["cycle", "fresh_ratio", "seed"]
GROUP = ["cycle", "fresh_ratio"]
EVENTS = ("full_correctness_generation", "half_diversity_generation", "collapse_generation")
MEASURES = {  # name in the summary: column of the metrics
    "diversity": "levenshtein_diversity",
    "semantic_correctness": "semantic_correctness",
    "unique_fraction": "unique_fraction",
}
VALUES = (*(f"{name}_{when}" for name in MEASURES for when in ("first", "last")), "diversity_change")

SHOWN, NOT_SHOWN, UNDECIDED = "shown", "not shown", "cannot be decided from this run"
CLAIMS = (
    "The loop produces correct output.",
    "Its diversity falls, the faster the larger the share of generated data.",
    "Fresh data slows the fall, and does not stop it.",
)
CORRECT = 0.9  # semantic correctness from which we call output correct
LOST = 0.05  # fall of semantic correctness that is more than noise
CLEAR, CLEAR_ALONE = 0.02, 0.05  # smallest relative change of diversity that counts, with several seeds and with one


class Estimate(NamedTuple):
    """A mean over seeds; its 95 % interval, None for fewer than two seeds; the number of seeds."""

    mean: float | None
    low: float | None
    high: float | None
    seeds: int


class Summary(NamedTuple):
    """`cells`: one row per cell. `groups`: one per (cycle, fresh ratio), means with `_low` and `_high`."""

    cells: pd.DataFrame
    groups: pd.DataFrame


class Finding(NamedTuple):
    """One of the paper's claims, what the run says about it, and the numbers behind that."""

    claim: str
    verdict: str  # SHOWN, NOT_SHOWN or UNDECIDED
    sentence: str


def tables(rows: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, list[Mapping[str, Any]]]:
    """Splits the rows of a run's metrics.jsonl into the metrics and the statuses of cells that ended early."""
    metrics = pd.DataFrame([row for row in rows if "status" not in row], columns=list(COLUMNS))
    return metrics, [row for row in rows if "status" in row]


def mean_interval(values: Iterable[float | None]) -> Estimate:
    """Mean with the 95 % percentile bootstrap interval; None and NaN are left out.

    Resampling few seeds gives too narrow an interval: below about ten, read it as a lower bound on the uncertainty.
    """
    x = np.array([v for v in values if v is not None and np.isfinite(v)], np.float64)
    if len(x) == 0:
        return Estimate(None, None, None, 0)
    mean = float(x.mean())
    if len(x) == 1:
        return Estimate(mean, None, None, 1)
    if np.ptp(x) == 0:
        return Estimate(mean, mean, mean, len(x))
    interval = bootstrap((x,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(x))


def relative_change(first: float, last: float) -> float | None:
    """(last - first) / first; None where there is nothing to relate to."""
    return (last - first) / first if first > 0 else None


def _first_generation(table: pd.DataFrame, reached: pd.Series) -> int | None:
    generations = table["generation"][reached]
    return int(generations.min()) if len(generations) else None


def _cell_summary(table: pd.DataFrame) -> dict[str, Any]:
    """The figures of one cell from its rows, in order of generation; an event that did not happen is None."""
    first, last = table.iloc[0], table.iloc[-1]
    diversity = table["levenshtein_diversity"]
    summary: dict[str, Any] = {
        "last_generation": int(last["generation"]),
        "full_correctness_generation": _first_generation(table, table["semantic_correctness"] == 1),
        "half_diversity_generation": _first_generation(
            table, (diversity <= diversity.iloc[0] / 2) & (diversity.iloc[0] > 0)
        ),
        "collapse_generation": _first_generation(table, table["top1_share"] == 1),
    }
    for name, column in MEASURES.items():
        summary[f"{name}_first"], summary[f"{name}_last"] = float(first[column]), float(last[column])
    changed = len(table) > 1
    summary["diversity_change"] = relative_change(diversity.iloc[0], diversity.iloc[-1]) if changed else None
    return summary


def _group_summary(cells: pd.DataFrame) -> dict[str, Any]:
    """The figures of one (cycle, fresh ratio) across its cells.

    Values are those of the cells that reached the group's last generation: numbers of different generations do not mix.
    The mean of an event exists only if it happened in every cell: a mean over some would be too early.
    """
    last = cells["last_generation"].max()
    complete = cells[cells["last_generation"] == last]
    summary = {"cells": len(cells), "complete_cells": len(complete), "last_generation": last}
    for name in EVENTS:
        reached = cells[name].dropna()
        summary[f"{name}_reached"] = len(reached)
        estimate = mean_interval(reached if len(reached) == len(cells) else [])
        summary |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    for name in VALUES:
        estimate = mean_interval(complete[name])
        summary |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return summary


def summary(metrics: pd.DataFrame, statuses: Sequence[Mapping[str, Any]] = ()) -> Summary:
    """Summarises a run. `statuses`: the last rows of cells that ended early, with `status` and the cell's keys."""
    ended = {tuple(row[k] for k in CELL): f"{row['status']} (generation {row.get('generation')})" for row in statuses}
    rows = {}
    for key, table in metrics.groupby(CELL, sort=False):
        rows[key] = _cell_summary(table.sort_values("generation"))
    for key in ended:
        rows.setdefault(key, {})  # it ended before its first generation was measured
    columns = [*CELL, "status", "last_generation", *EVENTS, *VALUES]
    cells = pd.DataFrame(
        [dict(zip(CELL, key, strict=True)) | {"status": ended.get(key, "")} | row for key, row in rows.items()],
        columns=columns,
    )
    whole = ["last_generation", *EVENTS]
    cells[whole] = cells[whole].astype("Int64")
    cells[list(VALUES)] = cells[list(VALUES)].astype(np.float64)
    groups = pd.DataFrame(
        [dict(zip(GROUP, key, strict=True)) | _group_summary(g) for key, g in cells.groupby(GROUP, sort=False)]
    )
    means = [c for c in groups if c.startswith((*EVENTS, *VALUES)) and not c.endswith("_reached")]
    groups[means] = groups[means].astype(np.float64)  # None is NaN, in a column without any number too
    return Summary(cells, groups)


# The paper's three findings.


@dataclasses.dataclass
class _Cycle:
    """One cycle up to the last generation that all of its fresh ratios reached. All tables are by φ, then by seed.

    The control is there as φ = 1.
    """

    name: str
    last: int  # generation
    left_out: int  # cells that ended before it
    change: dict[float, Values]  # relative change of diversity from generation 0 to the last
    speed: dict[float, Values]  # its mean over the generations from 1: differs where all end at the same bottom
    correctness: dict[float, tuple[float, float]]  # mean semantic correctness in generation 0 and the last

    @property
    def ratios(self) -> list[float]:
        """The fresh ratios whose cells consume their own output."""
        return sorted(ratio for ratio in self.change if ratio < 1)


def _cycles(metrics: pd.DataFrame) -> list[_Cycle]:
    consuming = metrics[(metrics["cycle"] != "fresh") & (metrics["fresh_ratio"] < 1)]
    found = []
    for name in consuming["cycle"].unique():
        table = metrics[metrics["cycle"] == name]
        if not (table["fresh_ratio"] == 1).any():
            table = pd.concat([table, metrics[metrics["cycle"] == "fresh"].assign(fresh_ratio=1.0)])
        reached = table.groupby("fresh_ratio")["generation"].max()
        last = int(reached[reached > 0].min()) if (reached[reached.index < 1] > 0).any() else 0
        table = table[table["fresh_ratio"].isin(reached.index[reached >= last])]  # not what ended in generation 0
        cycle = _Cycle(str(name), last, 0, {}, {}, {})
        for ratio, group in table[table["generation"] <= last].groupby("fresh_ratio"):
            change, speed, correctness = {}, {}, []
            for seed, cell in group.sort_values("generation").groupby("seed"):
                if cell["generation"].iloc[-1] < last:
                    cycle.left_out += ratio < 1
                    continue
                correctness.append(cell["semantic_correctness"].iloc[[0, -1]].to_numpy(np.float64))
                diversity = cell["levenshtein_diversity"].to_numpy(np.float64)
                if last > 0 and diversity[0] > 0:
                    relative = diversity / diversity[0] - 1
                    change[seed], speed[seed] = float(relative[-1]), float(relative[1:].mean())
            first_and_last = np.mean(correctness, axis=0)
            cycle.correctness[ratio] = (float(first_and_last[0]), float(first_and_last[1]))
            cycle.change[ratio], cycle.speed[ratio] = change, speed
        found.append(cycle)
    return found


def _clearly_below(a: Values, b: Values | None = None) -> bool:
    """Whether a, or a minus b over the seeds they share, is below zero by more than noise."""
    differences = [a[s] - b[s] for s in a.keys() & b.keys()] if b is not None else list(a.values())
    mean, _, high, seeds = mean_interval(differences)
    if mean is None:
        return False
    return mean <= -(CLEAR if seeds > 1 else CLEAR_ALONE) and (high is None or high < 0)


def _falls(cycle: _Cycle, ratio: float) -> bool:
    """Diversity falls, and by more than the control's where there is one."""
    change, control = cycle.change[ratio], cycle.change.get(1.0)
    return _clearly_below(change) and (not control or _clearly_below(change, control))


def _judge_correctness(cycle: _Cycle) -> tuple[bool | None, str]:
    if cycle.last == 0:
        return None, "only generation 0 is there, which has seen real data alone"
    pairs = [cycle.correctness[ratio] for ratio in cycle.ratios]
    if pairs[0][1] < CORRECT:
        return False, f"less than {percent(CORRECT)} of the output is correct at the smallest fresh ratio"
    if any(first - last > LOST for first, last in pairs):
        return False, "correctness falls"
    return (
        True,
        f"at least {percent(CORRECT)} of the output is correct at the smallest fresh ratio, and no ratio loses any",
    )


def _judge_fall(cycle: _Cycle) -> tuple[bool | None, str]:
    if cycle.last == 0:
        return None, "only generation 0 is there"
    if not _falls(cycle, cycle.ratios[0]):
        return False, "diversity does not clearly fall" + (" by more than the control's" if 1.0 in cycle.change else "")
    shares = sorted(cycle.change)
    if len(shares) < 2:
        return None, "diversity falls, but only one share of generated data was run"
    reversed_ = any(_clearly_below(cycle.speed[b], cycle.speed[a]) for a, b in itertools.pairwise(shares))
    if reversed_ or not _clearly_below(cycle.speed[shares[0]], cycle.speed[shares[-1]]):
        return False, "diversity falls, but not the faster the larger the share of generated data"
    return True, "the larger the share of generated data, the faster diversity falls"


def _judge_fresh_data(cycle: _Cycle) -> tuple[bool | None, str]:
    ratios = cycle.ratios
    if cycle.last == 0:
        return None, "only generation 0 is there"
    if len(ratios) < 2:
        return None, "there are not two fresh ratios below 1 to compare"
    if not _clearly_below(cycle.change[ratios[0]]):
        return None, "diversity does not clearly fall at the smallest fresh ratio, so there is no fall to slow"
    if not _clearly_below(cycle.speed[ratios[0]], cycle.speed[ratios[-1]]):
        return False, "more fresh data does not clearly slow the fall"
    stopped = [f"{ratio:g}" for ratio in ratios[1:] if not _falls(cycle, ratio)]
    if stopped:
        return False, f"fresh data slows the fall, and at φ = {', '.join(stopped)} no clear fall is left"
    return True, "fresh data slows the fall, and diversity still falls at every fresh ratio below 1"


def percent(value: float, signed: bool = False) -> str:
    """-0.683 in typographic percent, with a sign where it is a change."""
    number = f"{value * 100:{'+' if signed else ''}.0f}"
    return f"{'0' if number in ('+0', '-0') else number}\N{NO-BREAK SPACE}%".replace("-", "\N{MINUS SIGN}")


def _at(ratio: float) -> str:
    return "at " + f"φ = {ratio:g}".replace(" ", "\N{NO-BREAK SPACE}") if ratio < 1 else "in the control"


def _correctness_numbers(cycle: _Cycle, brief: bool) -> str:
    ratios = cycle.ratios[:: max(len(cycle.ratios) - 1, 1)] if brief else cycle.ratios
    parts = [" → ".join(map(percent, cycle.correctness[ratio])) + f" {_at(ratio)}" for ratio in ratios]
    return f"{cycle.name}: {', '.join(parts)}"


def _diversity_numbers(cycle: _Cycle, brief: bool) -> str:
    parts = []
    for ratio in sorted(cycle.change):
        mean, low, high, _ = mean_interval(cycle.change[ratio].values())
        if mean is None or (brief and cycle.ratios[0] < ratio < cycle.ratios[-1]):
            continue
        interval = "" if brief or low is None or high is None else f" [{percent(low, True)}, {percent(high, True)}]"
        parts.append(f"{percent(mean, True)}{interval} {_at(ratio)}")
    return f"{cycle.name}: {', '.join(parts)}"


def findings(metrics: pd.DataFrame) -> list[Finding]:
    """Checks the paper's three findings (arXiv 2311.16822) on a run, cycle by cycle.

    A finding is shown if every cycle that can decide it shows it. Diversity *clearly* changes if the mean over seeds
    is at least CLEAR (one seed: CLEAR_ALONE) and the interval excludes zero; ratios are compared seed by seed.
    """
    cycles = _cycles(metrics)
    judges = (_judge_correctness, _judge_fall, _judge_fresh_data)
    numbers = (_correctness_numbers, _diversity_numbers, _diversity_numbers)
    found = []
    for claim, judge, write in zip(CLAIMS, judges, numbers, strict=True):
        verdicts: list[bool] = []
        reasons: dict[str, list[_Cycle]] = {}
        for cycle in cycles:
            holds, reason = judge(cycle)
            verdicts += [] if holds is None else [holds]
            reasons.setdefault(reason, []).append(cycle)
        verdict = UNDECIDED if not verdicts else SHOWN if all(verdicts) else NOT_SHOWN
        sentences = []
        for reason, group in reasons.items():
            evidence = "; ".join(write(c, len(cycles) > 1) for c in group if c.last > 0)
            until = max(c.last for c in group)
            sentences.append(f"{reason}" + (f" (by generation {until}, {evidence})" if evidence else ""))
        text = ". ".join(s[0].upper() + s[1:] for s in sentences) or "No cell of this run consumes its own output"
        if cycles and metrics["seed"].nunique() == 1:
            text += ". One seed: no interval"
        if left_out := sum(cycle.left_out for cycle in cycles):
            text += f". Left out: {left_out} of the cells, which ended earlier"
        found.append(Finding(claim, verdict, text + "."))
    return found
