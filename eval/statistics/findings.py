"""The paper's findings (arXiv 2311.16822), checked on a run: what is shown, what is refuted, what cannot be decided.

A group *consumes its own output* unless it is a control. What is said of one group is what eval/statistics/fall.py says
of it everywhere; docs/statistics.md has the error rates.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from eval.statistics.curves import (
    CORRECTNESS,
    Key,
    control_of,
    controls,
    curves,
    family,
    family_name,
    fresh_ratio,
    groups,
    networks,
    rows_of,
)
from eval.statistics.fall import (
    Decline,
    below,
    declines,
    difference,
    relative_changes,
    speeds,
    undecided,
)
from eval.statistics.intervals import FRACTION, LEVEL, Estimate, mean_interval
from eval.statistics.trend import FALLING, PLATEAU, SMALL

SHOWN, NOT_SHOWN, UNDECIDED = "shown", "not shown", "cannot be decided from this run"
CLAIMS = (
    "The loop produces correct output.",
    "Its diversity falls, the faster the larger the share of generated data.",
    "Fresh data slows the fall, and does not stop it.",
)
CORRECT = 0.9  # semantic correctness from which we call output correct
LOST = 0.05  # fall of semantic correctness that is more than noise

Judgement = tuple[bool | None, str]  # whether the finding holds, None for undecided; why


class Finding(NamedTuple):
    """One of the paper's claims, what the run says about it, and the numbers behind that."""

    claim: str
    verdict: str  # SHOWN, NOT_SHOWN or UNDECIDED
    sentence: str


@dataclasses.dataclass
class _Loop:
    """The groups that differ in their fresh ratio alone, by that ratio, and the control that they are compared with.

    `declines` are those of the ratios that consume their own output and got beyond generation 0.
    """

    name: str
    declines: dict[float, Decline]
    control: Decline | None
    correctness: dict[float, pd.DataFrame]
    left_out: int  # cells that ended before the last generation of their group

    @property
    def ratios(self) -> list[float]:
        return list(self.declines)

    def of(self, ratio: float | None) -> Decline:
        """The fall at a fresh ratio, or with None that of the control, which must be there."""
        if ratio is not None:
            return self.declines[ratio]
        assert self.control is not None
        return self.control

    def faster(self, a: float | None, b: float | None, level: float = LEVEL) -> Estimate:
        """By how much faster a falls than b: negative where it does."""
        return difference(self.of(a).curves, self.of(b).curves, speeds, level)

    def falls(self, ratio: float) -> tuple[bool | None, Estimate]:
        """Whether diversity falls, and by more than the control's where there is one; the estimate that decides."""
        decline = self.declines[ratio]
        if decline.falls is not True or self.control is None:
            return decline.falls, decline.change
        more = difference(decline.curves, self.control.curves, relative_changes)
        return below(more), more


def _loops(metrics: pd.DataFrame, falls: Sequence[Decline]) -> list[_Loop]:
    by_key = {decline.key: decline for decline in falls}
    members: dict[Key, list[Key]] = {}
    apart = controls(metrics)
    for key in groups(metrics):
        if key not in apart:
            members.setdefault(family(key), []).append(key)
    found = []
    for keys in members.values():
        cells = {key: rows_of(metrics, key)["seed"].nunique() for key in keys}
        going = sorted((key for key in keys if key in by_key and by_key[key].last > 0), key=fresh_ratio)
        other = control_of(metrics, keys[0])
        control = by_key.get(other) if other is not None else None
        loop = _Loop(
            family_name(keys[0]),
            {fresh_ratio(key): by_key[key] for key in going},
            control if control is not None and control.last > 0 else None,
            {fresh_ratio(key): curves(metrics, key, CORRECTNESS) for key in going},
            sum(cells.values()) - sum(len(by_key[key].curves) for key in going) if going else 0,
        )
        found.append(loop)
    return found


NOTHING_YET: Judgement = None, "only generation 0 is there, which has seen real data alone"


def _judge_correctness(loop: _Loop) -> Judgement:
    if not loop.ratios:
        return NOTHING_YET
    if any(table.empty for table in loop.correctness.values()):
        return None, "correctness was not measured"
    margin = mean_interval(loop.correctness[loop.ratios[0]].iloc[:, -1] - CORRECT)
    level = 1 - (1 - LEVEL) / len(loop.ratios)  # one of several that falls by chance is no finding
    kept, lost = [], []
    for ratio, table in loop.correctness.items():
        loss = table.iloc[:, 0] - table.iloc[:, -1]
        kept.append(mean_interval(LOST - loss))
        if (strict := mean_interval(loss, level=level)).low is not None and strict.low > 0 and loss.mean() > LOST:
            lost.append(f"{ratio:g}")
    if margin.high is not None and margin.high < 0:
        return False, f"less than {percent(CORRECT)} of the output is correct at the smallest fresh ratio"
    if lost:
        return False, f"correctness falls at φ = {', '.join(lost)}"
    for estimate in (margin, *kept):
        if estimate.low is None or estimate.low < 0:
            return None, (
                f"whether at least {percent(CORRECT)} of the output is correct at the smallest fresh ratio, and no "
                f"ratio loses more than {percent(LOST)}: {undecided(estimate)}"
            )
    return True, (
        f"at least {percent(CORRECT)} of the output is correct at the smallest fresh ratio, and no ratio loses more "
        f"than {percent(LOST)}"
    )


def _judge_fall(loop: _Loop) -> Judgement:
    if not loop.ratios:
        return NOTHING_YET
    ratios, smallest = loop.ratios, loop.ratios[0]
    than = " by more than the control's" if loop.control else ""
    falls, estimate = loop.falls(smallest)
    if falls is None:
        return None, f"whether diversity falls{than} at the smallest fresh ratio: {undecided(estimate)}"
    if not falls:
        return False, f"diversity does not fall by {percent(SMALL)} or more{than and ' beyond the control'}"
    if len(ratios) < 2:
        return None, f"diversity falls{than}, but only one share of generated data below the whole was run"
    order: list[float | None] = [*ratios, *([None] if loop.control else [])]
    level = 1 - (1 - LEVEL) / (len(order) - 1)
    backwards = [
        f"{_at(a)} diversity falls more slowly than {_at(b)}"
        for a, b in itertools.pairwise(order)
        if below(loop.faster(b, a, level))
    ]
    if backwards:
        return False, f"diversity falls, but not the faster the larger the share of generated data: {backwards[0]}"
    dose = loop.faster(smallest, ratios[-1])
    if (clear := below(dose)) is None:
        return None, (
            f"diversity falls, but whether it falls faster {_at(smallest)} than {_at(ratios[-1])}: {undecided(dose)}"
        )
    if not clear:
        return False, f"diversity falls, but not clearly faster {_at(smallest)} than {_at(ratios[-1])}"
    return True, "the larger the share of generated data, the faster diversity falls"


def _judge_fresh_data(loop: _Loop) -> Judgement:
    if not loop.ratios:
        return NOTHING_YET
    ratios, smallest = loop.ratios, loop.ratios[0]
    if len(ratios) < 2:
        return None, "there are not two fresh ratios below 1 to compare"
    falls, estimate = loop.falls(smallest)
    if falls is None:
        return None, f"whether there is a fall to slow at the smallest fresh ratio: {undecided(estimate)}"
    if not falls:
        return None, "diversity does not clearly fall at the smallest fresh ratio, so there is no fall to slow"
    slowed = loop.faster(smallest, ratios[-1])
    if (clear := below(slowed)) is None:
        return None, f"whether more fresh data slows the fall: {undecided(slowed)}"
    if not clear:
        return False, "more fresh data does not clearly slow the fall"
    falling = {ratio: loop.falls(ratio) for ratio in ratios[1:]}
    if stopped := [f"{ratio:g}" for ratio, (falls, _) in falling.items() if falls is False]:
        left = f"no fall by {percent(SMALL)} or more is left{' beyond the control' if loop.control else ''}"
        return False, f"fresh data slows the fall, and at φ = {', '.join(stopped)} {left}"
    shapes = {ratio: loop.of(ratio).shape for ratio in ratios[1:] if not loop.of(ratio).bottom}
    resting = [f"φ = {r:g} (since generation ~{s.since or 0:.0f})" for r, s in shapes.items() if s.verdict == PLATEAU]
    if resting:
        return False, f"fresh data slows the fall, and stops it: diversity is at a plateau at {', '.join(resting)}"
    for ratio, (falls, estimate) in falling.items():
        if falls is None:
            return None, f"fresh data slows the fall, but whether one is left {_at(ratio)}: {undecided(estimate)}"
    if unclear := [f"{ratio:g}" for ratio, shape in shapes.items() if shape.verdict != FALLING]:
        return None, (
            f"fresh data slows the fall, but whether it stops it at φ = {', '.join(unclear)}: too few generations or "
            "seeds to tell"
        )
    still = f"diversity still falls at φ = {', '.join(f'{ratio:g}' for ratio in shapes)}"
    empty = f"nothing is left to fall at φ = {', '.join(f'{r:g}' for r in ratios[1:] if r not in shapes)}"
    ends = [*([still] if shapes else []), *([empty] if len(shapes) < len(ratios) - 1 else [])]
    return True, f"fresh data slows the fall, and {', and '.join(ends)}"


def percent(value: float, signed: bool = False) -> str:
    """-0.683 in typographic percent, with a sign where it is a change."""
    number = f"{value * 100:{'+' if signed else ''}.0f}"
    return f"{'0' if number in ('+0', '-0') else number}\N{NO-BREAK SPACE}%".replace("-", "\N{MINUS SIGN}")


def _at(ratio: float | None) -> str:
    return (
        "in the control"
        if ratio is None
        else f"at φ = {ratio:g}".replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    )


def _interval(estimate: Estimate, signed: bool) -> str:
    low, high = estimate.low, estimate.high
    return "" if low is None or high is None else f" [{percent(low, signed)}, {percent(high, signed)}]"


def _shown(loop: _Loop, brief: bool) -> list[float]:
    """Of several loops only the smallest and the largest ratio, and no intervals: the list of falls has them all."""
    return loop.ratios[:: max(len(loop.ratios) - 1, 1)] if brief else loop.ratios


def _correctness_numbers(loop: _Loop, brief: bool) -> str:
    parts = []
    for ratio in _shown(loop, brief):
        if (table := loop.correctness[ratio]).empty:
            continue
        last = mean_interval(table.iloc[:, -1], FRACTION)
        interval = "" if brief else _interval(last, False)
        parts.append(f"{percent(table.iloc[:, 0].mean())} → {percent(last.mean or 0)}{interval} {_at(ratio)}")
    return f"{loop.name}: {', '.join(parts)}"


def _diversity_numbers(loop: _Loop, brief: bool) -> str:
    parts = []
    for ratio in [*_shown(loop, brief), None]:
        decline = loop.control if ratio is None else loop.of(ratio)
        if decline is not None and decline.change.mean is not None:
            interval = "" if brief else _interval(decline.change, True)
            parts.append(f"{percent(decline.change.mean, True)}{interval} {_at(ratio)}")
    return f"{loop.name}: {', '.join(parts)}"


def findings(metrics: pd.DataFrame, falls: Sequence[Decline] | None = None, predicted: str = "") -> list[Finding]:
    """Checks the paper's three findings (arXiv 2311.16822) on a run's networks, cycle by cycle.

    A finding is shown if every cycle that can decide it shows it. Everything is decided by 95 % intervals over seeds
    (eval/statistics/intervals.py): with one seed nothing is, and where they are too wide the sentence says so.
    `falls`: what `declines` found, if it was asked before. `predicted`: what theory says of the third finding, a
    sentence beside what was seen.
    """
    loops = _loops(networks(metrics), declines(metrics) if falls is None else falls)
    judges = (_judge_correctness, _judge_fall, _judge_fresh_data)
    numbers = (_correctness_numbers, _diversity_numbers, _diversity_numbers)
    found = []
    for claim, judge, write in zip(CLAIMS, judges, numbers, strict=True):
        verdicts: list[bool] = []
        reasons: dict[str, list[_Loop]] = {}
        for loop in loops:
            holds, reason = judge(loop)
            verdicts += [] if holds is None else [holds]
            reasons.setdefault(reason, []).append(loop)
        verdict = UNDECIDED if not verdicts else SHOWN if all(verdicts) else NOT_SHOWN
        sentences = []
        for reason, group in reasons.items():
            going = [loop for loop in group if loop.ratios]
            evidence = "; ".join(write(loop, len(loops) > 1) for loop in going)
            until = max((d.last for loop in going for d in loop.declines.values()), default=0)
            sentences.append(reason + (f" (by generation {until}, {evidence})" if evidence else ""))
        text = ". ".join(s[0].upper() + s[1:] for s in sentences) or "No cell of this run consumes its own output"
        if left_out := sum(loop.left_out for loop in loops):
            text += f". Left out: {left_out} of the cells, which ended earlier"
        beside = f" {predicted}." if predicted and judge is _judge_fresh_data else ""
        found.append(Finding(claim, verdict, f"{text}.{beside}"))
    return found
