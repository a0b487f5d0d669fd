"""All measures: the columns of metrics.csv, the picker of the report and README's table are made from this list.

A new measure is a `Measure` in a file of its own and a line here.
"""

from collections.abc import Iterable

from eval.measures import (
    change,
    correctness,
    distribution,
    diversity,
    functions,
    likelihood,
    rows_true,
    self_likelihood,
    size,
    training,
    training_set,
)
from eval.measures.measure import GROUPS, OF_RUN, Family, Measure
from eval.measures.observation import Observation, parts
from logic.language import Language
from loop.cell import KEYS

MEASURES: tuple[Measure | Family, ...] = (  # in the order of the columns
    correctness.correctness,
    correctness.outside,
    rows_true.ROWS_TRUE,
    diversity.LEVENSHTEIN,
    diversity.UNIQUE,
    diversity.UNIQUE_TREES,
    diversity.ENTROPY,
    distribution.COVERAGE,
    distribution.RARE_MASS,
    size.LENGTH,
    size.DEPTH,
    diversity.TOP1,
    distribution.marginals,
    functions.functions,
    change.NOVELTY,
    change.REAL_ROOT,
    change.JS_TRAINING,
    *training_set.MEASURES,
    *likelihood.MEASURES,
    *self_likelihood.MEASURES,
    *training.MEASURES,
    training.broken,
)

Row = dict[str, float | None]  # None: not defined, such as the depth of the samples in the support without any


def measures(language: Language, has: Iterable[str] = OF_RUN) -> list[Measure]:
    """The measures of a language for which there is what they need; `has` is what is observed, by default a run."""
    here = parts(language).union(has)
    every = [m for entry in MEASURES for m in ([entry] if isinstance(entry, Measure) else entry(language))]
    return [measure for measure in every if here.issuperset(measure.needs)]


def columns(language: Language) -> tuple[str, ...]:
    """The columns of metrics.csv of a run with that language."""
    return (*KEYS, *(measure.name for measure in measures(language)))


def measure(observation: Observation) -> Row:
    """Every measure that the observation has what it needs for, in the order of the columns."""
    return {m.name: m.function(observation) for m in measures(observation.language, observation.has)}


def in_reading_order(found: Iterable[Measure]) -> list[Measure]:
    """Measures group by group, in each the leading ones first: as pickers and tables show them."""
    return sorted(found, key=lambda m: (GROUPS.index(m.group), not m.leads))


def table(language: Language) -> str:
    """README's table of the columns that a run with that language has, in Markdown."""
    keys = ", ".join(f"`{key}`" for key in KEYS)
    lines = ["| column | unit | meaning |", "|---|---|---|", f"| {keys} | | the keys: which cell, which generation |"]
    group = ""
    alike: dict[tuple[str, str, str], list[Measure]] = {}
    for m in in_reading_order(measures(language)):
        alike.setdefault((m.group, m.unit, m.meaning), []).append(m)
    for (of, unit, meaning), together in alike.items():
        if of != group:
            lines.append(f"| **{of}** | | |")
            group = of
        lines.append(f"| {', '.join(f'`{m.name}`' for m in together)} | {unit} | {meaning} |")
    return "\n".join(lines) + "\n"
