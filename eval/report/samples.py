"""Samples as the report shows them: text, verdict, and the first ones of a cell in a generation."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from logic.language import Language, Verdicts
from loop.cell import Cell
from loop.storage.checksums import Damaged
from loop.storage.reader import RunReader

if TYPE_CHECKING:
    from eval.report.build import Run

SHOWN_SAMPLES = 10
LONGEST_SAMPLE = 200  # characters; what is longer is cut
_NONE, _SOME, _ALL = "malformed", ("syntactic", "correct"), "support"  # classes of the page's style


class Shown(NamedTuple):
    """One sample as it is shown."""

    text: str
    kind: str  # of `kinds`


def kinds(language: Language) -> dict[str, tuple[str, str]]:
    """class -> (symbol, meaning) of the verdicts of a language, the strongest first."""
    verdicts = language.verdicts
    if not verdicts:
        return {_ALL: ("•", "a sample: the language has no verdicts")}
    found = {_kind(i + 1, len(verdicts)): (v.symbol, v.kind) for i, v in enumerate(verdicts)}
    return dict(reversed(found.items())) | {_NONE: ("✕", language.malformed)}


def _kind(passed: int, of: int) -> str:
    """The class of a sample that passes so many verdicts."""
    return _ALL if passed == of else _NONE if passed == 0 else _SOME[min(passed, len(_SOME)) - 1]


def kind_of(language: Language, verdict: Iterable[bool]) -> str:
    """The class of one sample from its verdicts."""
    return _kind(sum(map(bool, verdict)), len(language.verdicts))


def clipped(text: str, symbols: int) -> str:
    """A text that is not too long for a page; the empty one is ∅."""
    return f"{text[:LONGEST_SAMPLE]} … ({symbols} symbols)" if len(text) > LONGEST_SAMPLE else text or "∅"


def show_samples(language: Language, samples: Sequence[bytes], verdicts: Verdicts) -> list[Shown]:
    """Text and verdict of each sample."""
    rows = zip(samples, language.decode(samples), *verdicts.values(), strict=True)
    return [Shown(clipped(text, len(e)), kind_of(language, verdict)) for e, text, *verdict in rows]


def first_samples(run: "Run", cells: Sequence[Cell], generation: int) -> dict[Cell, list[Shown]]:
    """The first samples of cells in one generation, in their order; what cannot be read is left out.

    Opens the data set once for all cells and reads one block of each: thousands of cells and generations take seconds.
    """
    found: dict[Cell, list[Shown]] = {}
    for part in run.directory.shard_directories():
        if part.has_samples(generation):
            found |= _first_samples(part, run.language, cells, generation)
    return found


def _first_samples(
    directory: RunReader, language: Language, cells: Iterable[Cell], generation: int
) -> dict[Cell, list[Shown]]:
    found = {}
    try:
        import tensorflow_datasets as tfds

        from loop.storage.samples import split_name, verdict_names

        builder = tfds.builder_from_directory(directory.samples_path(generation))
        for cell in cells:
            if split_name(cell.name) not in builder.info.splits:
                continue
            directory.check_samples(cell, generation)
            blocks = builder.as_data_source(split_name(cell.name))
            if len(blocks):
                block, n = blocks[0], SHOWN_SAMPLES
                rows = zip(block["symbols"][:n], block["length"][:n], strict=True)
                verdicts = {name: block[name][:n] for name in verdict_names(builder)}
                found[cell] = show_samples(language, [row[:length].tobytes() for row, length in rows], verdicts)
    except (ImportError, OSError, KeyError, Damaged) as error:  # no TFDS on this machine, or samples were removed
        print(f"eval.report: no samples of generation {generation}: {error}", file=sys.stderr)
    return found


class SampleColumn(NamedTuple):
    """The first samples of one cell and generation."""

    generation: int
    diversity: float
    unique_fraction: float
    samples: list[Shown]
    repeats: list[bool]  # whether a sample is the same as one above it


def sample_columns(run: "Run") -> list[tuple[Cell, list[SampleColumn]]]:
    """The first, the middle and the last generation of every cell whose samples can be read."""
    tables = run.cells
    wanted: dict[Cell, list[int]] = {}
    for cell, table in tables.items():
        there = [int(t) for t in table["generation"] if run.directory.has_samples(int(t))]
        wanted[cell] = sorted({there[0], there[len(there) // 2], there[-1]}) if there else []
    read = {
        t: first_samples(run, [cell for cell in wanted if t in wanted[cell]], t)
        for t in sorted({t for generations in wanted.values() for t in generations})
    }
    found = []
    for cell, generations in wanted.items():
        rows = tables[cell].set_index("generation")[["levenshtein_diversity", "unique_fraction"]].astype(float)
        shown = {t: read[t][cell] for t in generations if cell in read[t]}
        columns = []
        for t, samples in shown.items():
            diversity, unique = map(float, rows.loc[t])
            repeats = [s in samples[:i] for i, s in enumerate(samples)]
            columns.append(SampleColumn(t, diversity, unique, samples, repeats))
        if columns:
            found.append((cell, columns))
    return found
