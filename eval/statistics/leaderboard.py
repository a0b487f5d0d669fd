"""What each remedy gains and what it costs: paired differences to the same cells without a remedy.

Within a cycle, a fresh ratio and a learner, every remedy is compared with `none` at the last generation of `none`, on
the seeds that reached it with both, in diversity, distance from the real distribution, coverage and correctness. Means
have Student's t interval over the pairs (eval/statistics/intervals.py) and the p-value of the paired t test, corrected
by Holm over the remedies of that cycle, fresh ratio, learner and measure: of one question asked of many remedies, one
false answer is as rare as if it were asked of one.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eval.statistics.curves import CORRECTNESS, DIVERSITY, GROUP, Key, groups, rows_of
from eval.statistics.intervals import Estimate, mean_interval, sign_flip_p
from loop.cell import NO_REMEDY


class Effect(NamedTuple):
    """A column that remedies are compared in."""

    name: str  # in the table
    column: str  # of the metrics
    label: str
    higher_is_better: bool


EFFECTS = (
    Effect("diversity", DIVERSITY, "diversity", True),
    Effect("kl", "kl_paired", "KL(real ‖ model), nats", False),
    Effect("coverage", "support_coverage", "coverage", True),
    Effect("correctness", CORRECTNESS, "correctness", True),
)
COSTS = ("samples_written", "samples_verified", "extra_steps")  # a generation's: their sums are what was spent
REAL = "real_examples"  # so far
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"


class Entry(NamedTuple):
    """One remedy in one cycle, fresh ratio and learner."""

    key: Key  # of its group
    generation: int  # at which it is compared
    seeds: int  # pairs, of the cells that got there
    values: dict[str, float]  # name of an effect -> mean over these seeds
    effects: dict[str, Estimate]  # the remedy minus none, over the pairs
    p: dict[str, float | None]  # corrected by Holm; None with less than two pairs
    costs: dict[str, float]  # in all, of one cell
    extra: dict[str, float]  # likewise, minus none's

    @property
    def remedy(self) -> str:
        """How it is spelled."""
        return str(self.key[GROUP.index("remedy")])

    def verdict(self, effect: Effect) -> str:
        """Whether it is better or worse than none, at 5 % after the correction."""
        p, difference = self.p.get(effect.name), self.effects[effect.name].mean
        if p is None or difference is None or p >= 0.05 or difference == 0:
            return UNDECIDED
        return BETTER if (difference > 0) == effect.higher_is_better else WORSE


def leaderboard(metrics: pd.DataFrame) -> list[Entry]:
    """All remedies, those of a cycle, fresh ratio and learner together, by their effect on diversity, the best first.

    Empty for a run without remedies, or without cells to compare them with; a remedy whose cells have all ended earlier
    is left out.
    """
    column = GROUP.index("remedy")
    found: list[Entry] = []
    together: dict[Key, list[Key]] = {}
    for key in groups(metrics):
        together.setdefault((*key[:column], NO_REMEDY, *key[column + 1 :]), []).append(key)
    for none, keys in together.items():
        if none in keys and len(keys) > 1:
            found += _ranked(metrics, none, [key for key in keys if key != none])
    return found


def _ranked(metrics: pd.DataFrame, none: Key, remedies: Sequence[Key]) -> list[Entry]:
    entries = [entry for key in remedies if (entry := _compare(metrics, none, key)) is not None]
    for effect in EFFECTS:
        raw = [entry.p.get(effect.name) for entry in entries]
        for entry, p in zip(entries, holm(raw), strict=True):
            entry.p[effect.name] = p
    best = EFFECTS[0].name
    return sorted(entries, key=lambda entry: -_number(entry.effects[best].mean))


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def _compare(metrics: pd.DataFrame, none: Key, key: Key) -> Entry | None:
    ours, plain = rows_of(metrics, key), rows_of(metrics, none)
    at = int(plain["generation"].max())
    here = [rows[rows["generation"] == at]["seed"] for rows in (ours, plain)]
    seeds = pd.Index(here[0]).intersection(pd.Index(here[1]))
    if not len(seeds):
        return None
    a, b = (rows[rows["generation"] == at].set_index("seed").loc[seeds] for rows in (ours, plain))
    values: dict[str, float] = {}
    effects: dict[str, Estimate] = {}
    p: dict[str, float | None] = {}
    for effect in EFFECTS:
        if effect.column not in metrics:
            effects[effect.name], p[effect.name] = Estimate(None, None, None, 0), None
            continue
        x = a[effect.column].astype(np.float64)
        difference = x - b[effect.column].astype(np.float64)
        values[effect.name] = float(x.mean())
        effects[effect.name] = mean_interval(difference)
        p[effect.name] = t_p(difference[np.isfinite(difference)].to_numpy())
    spent, plainly = (_spent(rows[rows["seed"].isin(seeds) & (rows["generation"] <= at)]) for rows in (ours, plain))
    extra = {name: spent[name] - plainly[name] for name in spent if name in plainly}
    return Entry(key, at, len(seeds), values, effects, p, spent, extra)


def _spent(rows: pd.DataFrame) -> dict[str, float]:
    """Of one cell, up to the last generation of these rows."""
    by_seed = rows.groupby("seed")
    found = {name: float(by_seed[name].sum().mean()) for name in COSTS if name in rows}
    return found | ({REAL: float(by_seed[REAL].max().mean())} if REAL in rows else {})


def t_p(differences: np.ndarray) -> float | None:
    """Two-sided p-value of a mean of zero, of Student's t test on paired differences; None for less than two.

    Where all differences are the same number, up to rounding, nothing is known of their spread: then it is the test by
    flips of signs, 2 / 2^n at the least.
    """
    n = len(differences)
    if n < 2:
        return None
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    mean = float(differences.mean())
    if np.ptp(differences) <= 1e-9 * abs(mean):
        return sign_flip_p(differences) if mean else 1.0
    from scipy.special import stdtr

    return 2 * float(stdtr(n - 1, -abs(mean) / error))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979); None stays and does not count."""
    known = [i for i, value in enumerate(p) if value is not None]
    corrected: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p[i])):  # type: ignore[arg-type, return-value]
        largest = max(largest, min(1.0, (len(known) - rank) * float(p[i])))  # type: ignore[arg-type]
        corrected[i] = largest
    return corrected


def records(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """As rows of a table."""
    rows = []
    for entry in entries:
        row: dict[str, Any] = dict(zip(GROUP, entry.key, strict=True))
        row |= {"generation": entry.generation, "seeds": entry.seeds}
        for effect in EFFECTS:
            e = entry.effects[effect.name]
            row |= {
                effect.name: entry.values.get(effect.name),
                f"{effect.name}_effect": e.mean,
                f"{effect.name}_low": e.low,
                f"{effect.name}_high": e.high,
                f"{effect.name}_p": entry.p[effect.name],
                f"{effect.name}_verdict": entry.verdict(effect),
            }
        rows.append(row | entry.costs | {f"{name}_extra": value for name, value in entry.extra.items()})
    return rows
