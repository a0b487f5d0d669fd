"""What is known of the samples of every cell in a generation: its anatomy, see eval/measures/anatomy.py."""

from typing import TYPE_CHECKING, Any

from loop.storage.checksums import Damaged

if TYPE_CHECKING:
    from eval.report.build import Run


def anatomies(run: "Run", generation: int) -> list[dict[str, Any]]:
    """The anatomies of a generation; of a run without anatomy files, from its samples, without their descent."""
    if generation not in run.dissected:
        run.dissected[generation] = run.directory.read_anatomy(generation) or _from_samples(run, generation)
    return run.dissected[generation]


def _from_samples(run: "Run", generation: int) -> list[dict[str, Any]]:
    if not run.directory.has_samples(generation):
        return []
    from eval.measures.anatomy import anatomy
    from loop.examples import Examples

    found, unknown = [], Examples.drawn([], 0)
    for cell, table in run.cells.items():
        if generation not in set(table["generation"]):
            continue
        try:
            samples = run.directory.read_samples(cell, generation)
        except (ImportError, OSError, KeyError, Damaged):  # a cell that has ended; first_samples says what is wrong
            continue
        written = Examples.written(samples.expressions, generation, unknown)
        part = anatomy(written, samples.verdicts, unknown, run.language)
        found.append(cell.keys | {"generation": generation} | part | {"roots": []})
    return found
