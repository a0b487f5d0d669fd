"""Whose fall it is: the change of diversity as a sum of temperature's part, finite samples' part, and the learner's.

Every curve is taken relative to its own generation 0, d(t) = diversity(t) / diversity(0) - 1. With N the curve of a
network, M that of the memoriser of the same seed, and F the mean field's:

    d_N  =  d_F            temperature: the mean field at the run's sampling settings, against the one at temperature 1
                           without top-k and top-p, which is constant, so that its d is 0
          + (d_M - d_F)    finite samples
          + (d_N - d_M)    the learner

This holds for every seed and generation, so the means over seeds add up as well; all of them are taken over the seeds
that network and memoriser share. What temperature does to generation 0 itself is in no part: it changes the start.

*Finite samples* is no neutral drift, which would take some t/n of diversity. Below temperature 1 the ties of the real
distribution make the symmetric mean field unstable, and the second part is the noise of finite data, above all that of
the first training set, amplified by temperature (docs/theory.md, section 4). That is why the fixed points that the
seeds' own first data lead to stand beside the mean field's.

Where one of the curves is missing, the two parts that it separates are told as one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from eval.statistics.curves import GROUP, Key, controls, curves, family_name, fresh_ratio, group_name, groups
from eval.statistics.fall import Decline, signed
from eval.statistics.intervals import CHANGE, FRACTION, Estimate, mean_interval
from eval.statistics.trend import SMALL
from loop.cell import TRANSFORMER, Cell

TEMPERATURE, FINITE, NETWORK, LEARNER = "temperature", "finite samples", "network", "learner"
MEMORISER = "memoriser"
JOIN = " and "  # between the names of parts that are told as one
_PLACE = {name: place for place, name in enumerate(GROUP)}
_SETTING = ("cycle", "fresh_ratio", "learner")  # with any other key at its default, the mean field is known

Fields = Mapping[tuple[str, float], Mapping[str, Any]]  # (cycle, φ) -> what eval.mean_field.measure says of it


class Decomposition(NamedTuple):
    """The change of one group's diversity and its parts, one estimate a generation; T generations."""

    key: Key
    seeds: tuple[int, ...]  # that all means are over
    generations: tuple[int, ...]
    observed: list[Estimate]  # of length T
    parts: dict[str, list[Estimate]]  # name -> length T; the means add up to those of `observed`; temperature is exact
    fixed_point: float | None  # d of the mean field in the long run
    from_first_data: Estimate  # d in the long run of mean fields that begin with the first data of the seeds


def field_of(key: Key, fields: Fields) -> Mapping[str, Any] | None:
    """The mean field of a group; None where none is known."""
    usual = Cell.__dataclass_fields__
    if any(key[place] != usual[name].default for name, place in _PLACE.items() if name not in _SETTING):
        return None
    return fields.get((key[_PLACE["cycle"]], fresh_ratio(key)))


def diversity(field: Mapping[str, Any]) -> pd.Series:
    """A mean field's curve by generation."""
    rows = field["generations"]
    return pd.Series([row["levenshtein_diversity"] for row in rows], index=[row["generation"] for row in rows])


def _changes(table: pd.DataFrame) -> pd.DataFrame:
    """d of every seed and generation; seeds that begin at 0 are left out."""
    begun = table[table.iloc[:, 0] > 0] if len(table) else table
    return begun.div(begun.iloc[:, 0], axis=0) - 1 if len(begun) else begun


def _parts(names: Sequence[str], tables: Sequence[pd.DataFrame | None]) -> dict[str, pd.DataFrame]:
    """The differences of successive tables; one that is missing leaves its part to the next."""
    found, waiting, before = {}, [], None
    for name, table in zip(names, tables, strict=True):
        waiting.append(name)
        if table is not None:
            found[JOIN.join(waiting)] = table if before is None else table - before
            waiting, before = [], table
    return found


def _decompose(metrics: pd.DataFrame, key: Key, fields: Fields) -> Decomposition | None:
    observed = _changes(curves(metrics, key))
    learner = key[_PLACE["learner"]]
    names = [TEMPERATURE, FINITE, NETWORK if learner == TRANSFORMER else LEARNER][: 2 if learner == MEMORISER else 3]
    memory = None
    if learner != MEMORISER:
        twin = tuple(MEMORISER if name == "learner" else value for name, value in zip(GROUP, key, strict=True))
        memory = _changes(curves(metrics, twin))
        seeds = observed.index.intersection(memory.index)
        if len(seeds):
            observed = observed.loc[seeds, observed.columns.intersection(memory.columns)]
            memory = memory.loc[seeds, observed.columns]
        else:
            memory = None
    limit, ends, mean_field = None, Estimate(None, None, None, 0), None
    if observed.empty:
        return None
    if (field := field_of(key, fields)) is not None:
        curve = diversity(field)
        shared = observed.columns.intersection(curve.index)
        observed = observed[shared]
        memory = None if memory is None else memory[shared]
        change = curve[shared] / curve[0] - 1
        mean_field = pd.DataFrame([change] * len(observed), index=observed.index)
        limit = field["fixed_point"]["levenshtein_diversity"] / curve[0] - 1
        first = field["from_first_data"]
        ends = mean_interval([first[s] / curve[0] - 1 for s in observed.index if s in first], CHANGE)
    if len(observed.columns) < 2 or (memory is None and mean_field is None):
        return None
    reference = [mean_field] if learner == MEMORISER else [mean_field, memory]
    parts = {
        name: [
            Estimate(float(table[t].iloc[0]), None, None, len(table))
            if name == TEMPERATURE
            else mean_interval(table[t])
            for t in table
        ]
        for name, table in _parts(names, [*reference, observed]).items()
    }
    return Decomposition(
        key,
        tuple(map(int, observed.index)),
        tuple(map(int, observed.columns)),
        [mean_interval(observed[t], CHANGE) for t in observed],
        parts,
        limit,
        ends,
    )


def decompose(metrics: pd.DataFrame, fields: Fields) -> list[Decomposition]:
    """Of every group that trains on its own output, in the order of the table; of memorisers only if nobody else is.

    Groups of which no part can be told are left out.
    """
    apart = controls(metrics)
    keys = [key for key in groups(metrics) if key not in apart]
    keys = [key for key in keys if key[_PLACE["learner"]] != MEMORISER] or keys
    found = (_decompose(metrics, key, fields) for key in keys)
    return [decomposition for decomposition in found if decomposition is not None]


def _column(name: str) -> str:
    return f"{name.replace(NETWORK, LEARNER).replace(' ', '_')}_part"


def table(decompositions: Sequence[Decomposition]) -> pd.DataFrame:
    """One row per group and generation: `observed` and every part, each with `_low` and `_high`, and the fixed points.

    Columns of parts are `temperature_part`, `finite_samples_part`, `learner_part`, and `A_and_B_part` where two are
    told as one. The interval of temperature is empty: its part is exact.
    """
    rows = []
    for d in decompositions:
        for i, generation in enumerate(d.generations):
            row = dict(zip(GROUP, d.key, strict=True)) | {"generation": generation, "seeds": len(d.seeds)}
            estimates = {"observed": d.observed[i]} | {_column(name): parts[i] for name, parts in d.parts.items()}
            estimates |= {"from_first_data": d.from_first_data}
            row["fixed_point"] = d.fixed_point
            for column, estimate in estimates.items():
                row |= {column: estimate.mean, f"{column}_low": estimate.low, f"{column}_high": estimate.high}
            rows.append(row)
    return pd.DataFrame(rows)


def last_rows(decompositions: Sequence[Decomposition]) -> list[dict[str, Any]]:
    """The rows of the table at every group's last generation, and `parts`: (column, how many it tells as one)."""
    found = []
    for d in decompositions:
        row = table([d]).iloc[-1].to_dict()
        found.append(row | {"parts": [(_column(name), name.count(JOIN) + 1) for name in d.parts]})
    return found


def _percent(estimate: Estimate, unit: str = "") -> str:
    mean, low, high, *_ = estimate
    interval = "" if low is None or high is None else f" [{signed(low)}, {signed(high)}]"
    return f"{signed(mean or 0)}{unit}{interval}"


def sentence(d: Decomposition) -> str:
    """`full, fresh 0.25: diversity -63 % [-70, -56]: temperature -49, finite samples -23 [-25, -21], network +9 […]`.

    In percent of generation 0, each rounded by itself, at the last generation.
    """
    parts = (f"{name}{' together' if JOIN in name else ''} {_percent(e[-1])}" for name, e in d.parts.items())
    return f"{group_name(d.key)}: diversity {_percent(d.observed[-1], ' %')}: {', '.join(parts)}"


def prediction(falls: Sequence[Decline], fields: Fields) -> str:
    """What the fixed points say of the fall at every fresh ratio above 0, beside what was seen; empty without any.

    Cycles of one ratio share their fixed points, and are told together.
    """
    seen: dict[str, dict[int, list[str]]] = {}  # by what is predicted, and by generation
    falling = False
    for decline in falls:
        field, ratio = field_of(decline.key, fields), fresh_ratio(decline.key)
        if field is None or not 0 < ratio < 1 or decline.key[_PLACE["learner"]] != TRANSFORMER or not decline.last:
            continue
        start, end = diversity(field)[0], field["fixed_point"]["levenshtein_diversity"]
        first = mean_interval(field["from_first_data"].values(), FRACTION).mean
        falling |= min(end, end if first is None else first) < (1 - SMALL) * start
        own = "" if first is None else f", from the seeds' own first data to {first:.3f}"
        here = seen.setdefault(f"at φ = {ratio:g} from {start:.3f} to {end:.3f}{own}", {})
        mean = decline.curves.iloc[:, -1].mean()
        here.setdefault(decline.last, []).append(f"{family_name(decline.key)} {mean:.3f}")
    if not seen:
        return ""
    what = "fresh data stops its fall at a fixed point" if falling else "with fresh data it does not fall"
    told = []
    for predicted, by_generation in seen.items():
        at = ", ".join(f"at generation {last}: {', '.join(cycles)}" for last, cycles in by_generation.items())
        told.append(f"{predicted} (seen {at})")
    return f"In theory, of a memoriser with infinitely many samples, {what}: {'; '.join(told)}"
