"""What a killed run was doing, from what it has left on disk and in its log.

A generation is written and measured beside the training of the next one, so a kill can fall in two phases.
"""

from pathlib import Path

from loop.storage.metrics_files import _table
from tests.columns import COLUMNS
from tests.stress.sweep import Start, complete_generations

# In the order of a run.
PHASES = (
    "start-up: imports, lock",
    "writing config.json",
    "resuming: reading, compiling",
    "training",
    "writing a state",
    "end of training, sampling",
    "writing samples",
    "writing a checkpoint",
    "sealing: checksums",
    "measuring",
    "writing metrics",
    "removing what is old",
    "report: computing, drawing",
    "report: writing",
)


def phases(start: Start, generations: int) -> list[str]:
    """Those in which a killed start has died, at least one, in the order of `PHASES`."""
    found = {_front(start, generations)}
    if found != {PHASES[0]}:
        found |= _behind(start)
    path = start.directory.path
    if list(path.glob(".config.json.*.tmp")):
        found = {"writing config.json"}
    return [phase for phase in PHASES if phase in found]


def _front(start: Start, generations: int) -> str:
    """What the main thread did."""
    lines = start.said()
    if not lines:
        return "start-up: imports, lock"
    progress = start.progress()
    done = complete_generations(start.directory)
    if done == generations:
        return "report: writing" if _new(start, "report", ".*.tmp") else "report: computing, drawing"
    if not progress:
        # Measured anew first, where only that was missing.
        measuring = start.directory.stored(start.complete) or done > start.complete
        return "measuring" if measuring else "resuming: reading, compiling"
    t, step = progress[-1]
    if step < start.steps:
        return "training"
    if not _new(start, "samples", f"*generation_{t:04d}*") and done <= t:
        return "end of training, sampling"
    if t < generations - 1:
        return "training"  # of the next one, up to its first chunk's end
    return "measuring" if start.directory.stored(t) else "writing samples"


def _behind(start: Start) -> set[str]:
    """What was being written or measured: unfinished things that are not older than this start."""
    directory, found = start.directory, set()
    if any(_unsealed(start, "state", "state_{}")):
        found.add("writing a state")
    if any(_unsealed(start, "checkpoints", "checkpoints_{:0>4}")):
        found.add("writing a checkpoint")
    if any(_unsealed(start, "samples", "samples_{}")):
        found.add("writing samples")
    if _new(start, "checksums", ".*.tmp"):
        found.add("sealing: checksums")
    if _new(start, ".", ".metrics.*.tmp") or _new(start, "anatomy", ".*.tmp") or _torn(start):
        found.add("writing metrics")
    if any(_new(start, folder, ".*.gone") for folder in ("state", "samples", "checkpoints")):
        found.add("removing what is old")
    if directory.stored(complete_generations(directory)):
        found.add("measuring")
    return found


def _torn(start: Start) -> bool:
    """The kill came between the two metrics files."""
    table = start.directory.path / "metrics.csv"
    rows = start.directory.rows()
    return bool(rows) and (not table.exists() or table.read_text() != _table(rows, COLUMNS))


def _unsealed(start: Start, folder: str, seal: str) -> list[Path]:
    seals = start.directory.path / "checksums"

    def name(path: Path) -> str:
        return path.name.partition(".orbax-checkpoint-tmp")[0].removeprefix(
            "generation_" if folder == "samples" else ""
        )

    return [p for p in _new(start, folder, "[!.]*") if not (seals / (seal.format(name(p)) + ".json")).exists()] + _new(
        start, folder, ".*.tmp"
    )


def _new(start: Start, folder: str, pattern: str) -> list[Path]:
    return [p for p in (start.directory.path / folder).glob(pattern) if p.stat().st_ctime >= start.begun]
