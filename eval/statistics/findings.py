"""The paper's findings (arXiv 2311.16822), checked on a run.

A cell *consumes its own output* unless it is a control: the cycle `fresh`, or a fresh ratio of 1.
"""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd

from eval.statistics.summary import mean_interval
from eval.statistics.trend import PLATEAU, fall_shape

Values = dict[int, float]  # by seed: cells of equal seed share their random numbers, so they are compared in pairs

SHOWN, NOT_SHOWN, UNDECIDED = "shown", "not shown", "cannot be decided from this run"
CLAIMS = (
    "The loop produces correct output.",
    "Its diversity falls, the faster the larger the share of generated data.",
    "Fresh data slows the fall, and does not stop it.",
)
CORRECT = 0.9  # semantic correctness from which we call output correct
LOST = 0.05  # fall of semantic correctness that is more than noise
BOTTOM = 0.05  # of the start: a plateau below it is no end of the fall, there is nothing left to fall
CLEAR, CLEAR_ALONE = 0.02, 0.05  # smallest relative change of diversity that counts, with several seeds and with one


class Finding(NamedTuple):
    """One of the paper's claims, what the run says about it, and the numbers behind that."""

    claim: str
    verdict: str  # SHOWN, NOT_SHOWN or UNDECIDED
    sentence: str


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
    plateau: dict[float, float]  # of the ratios whose fall has stopped above the bottom: the generation since when

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
        cycle = _Cycle(str(name), last, 0, {}, {}, {}, {})
        for ratio, group in table[table["generation"] <= last].groupby("fresh_ratio"):
            change, speed, correctness, curves = {}, {}, [], []
            for seed, cell in group.sort_values("generation").groupby("seed"):
                if cell["generation"].iloc[-1] < last:
                    cycle.left_out += ratio < 1
                    continue
                correctness.append(cell["semantic_correctness"].iloc[[0, -1]].to_numpy(np.float64))
                diversity = cell["levenshtein_diversity"].to_numpy(np.float64)
                if last > 0 and diversity[0] > 0:
                    relative = diversity / diversity[0] - 1
                    change[seed], speed[seed] = float(relative[-1]), float(relative[1:].mean())
                    curves.append(diversity)
            first_and_last = np.mean(correctness, axis=0)
            cycle.correctness[ratio] = (float(first_and_last[0]), float(first_and_last[1]))
            cycle.change[ratio], cycle.speed[ratio] = change, speed
            shape = fall_shape(curves)
            if shape.verdict == PLATEAU and shape.since is not None and np.mean(list(change.values())) > BOTTOM - 1:
                cycle.plateau[ratio] = shape.since
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
    resting = [f"φ = {r:g} (since generation ~{cycle.plateau[r]:.0f})" for r in ratios[1:] if r in cycle.plateau]
    if resting:
        return False, f"fresh data slows the fall, and stops it: diversity is at a plateau at {', '.join(resting)}"
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
