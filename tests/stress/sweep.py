"""A sweep of seconds with everything that can be lost, and its starts as processes that can be killed."""

import dataclasses
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from loop.cell import Cell
from loop.storage.run_directory import RunDirectory

ROOT = Path(__file__).parents[2]
CHUNKS = 3  # of steps in a generation
STEPS = 10  # in a chunk
CELLS = [Cell(cycle, 0.25, 0) for cycle in ("incremental", "balanced", "expanding")]
LINE = re.compile(r"generation (\d+)/(\d+), step (\d+)/(\d+)")  # of launch.main's progress


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The smoke preset with a cycle that draws from all past blocks, one that grows, and one that forgets."""

    cache: Path  # of compiled programs, for all starts
    source: Path = ROOT  # of the code
    generations: int = 4
    steps: int = CHUNKS * STEPS  # of a generation
    preset: str = "smoke"
    more: tuple[str, ...] = (
        "--config.sweep.cycles=incremental,balanced,expanding",
        "--config.sweep.fresh_ratios=0.25",
        f"--config.train.max_steps={CHUNKS * STEPS}",
        "--save_minutes=0",
    )

    def flags(self, workdir: Path) -> list[str]:
        """What launch.main is given."""
        return [
            f"--config=launch/presets/{self.preset}.py",
            f"--config.loop.generations={self.generations}",
            f"--workdir={workdir}",
            f"--compilation_cache={self.cache}",
            "--cpu_devices=2",  # not one per core: who may use which cores can change between two starts
            *self.more,
        ]


@dataclasses.dataclass(frozen=True)
class AtOperation:
    """A death at the n-th file operation on paths that match; see victim.py."""

    pattern: str
    n: int
    delay: float = 0.0  # seconds


class Start:
    """One start of the sweep. In a `with` block, nothing of it is left running at the end."""

    def __init__(self, sweep: Sweep, workdir: Path, death: AtOperation | None = None, errors: Path | None = None):
        self.directory = RunDirectory(workdir)
        self.skip = self.directory.log.stat().st_size if self.directory.log.exists() else 0
        self.complete = complete_generations(self.directory)
        self.state = newest_state(self.directory)
        self.steps = sweep.steps
        self.errors = errors or workdir.parent / "stderr.txt"  # a file: nobody empties a pipe of a process that waits
        victim = ["tests.stress.victim", death.pattern, str(death.n), str(death.delay)] if death else ["launch.main"]
        self.begun = time.time()
        with self.errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *victim, *sweep.flags(workdir)],
                cwd=sweep.source,
                env={**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def __enter__(self) -> "Start":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> list[str]:
        """The lines of this start in log.txt, without their times."""
        if not self.directory.log.exists():
            return []
        text = self.directory.log.read_bytes()[self.skip :].decode(errors="replace")
        return [line.partition(" ")[2] for line in text.splitlines()]

    def progress(self) -> list[tuple[int, int]]:
        """(generation from 0, step) of every chunk that this start has told of."""
        found = [LINE.match(line) for line in self.said()]
        return [(int(match[1]) - 1, int(match[3])) for match in found if match]

    def wait_for(self, lines: int, seconds: float = 1_200.0) -> bool:
        """Waits for so many chunks of this start; False if it has ended before."""
        return self._wait(lambda: len(self.progress()) >= lines, seconds)

    def wait_for_words(self, words: str, seconds: float = 1_200.0) -> bool:
        """Waits until this start's log has a line with these words; False if it has ended before."""
        return self._wait(lambda: any(words in line for line in self.said()), seconds)

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        for _ in range(int(seconds / 0.003)):
            if done():
                return True
            if self.process.poll() is not None:
                return done()
            time.sleep(0.003)
        raise TimeoutError(f"{self.directory.path}: {self.said()[-3:]}")

    def sleep(self, seconds: float) -> None:
        """Sleeps, or less where the process ends."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def kill(self) -> bool:
        """kill -9; False if it had ended."""
        self.process.kill()
        return self.process.wait() == -signal.SIGKILL

    def end(self, seconds: float = 1_200.0) -> int:
        """Waits for the end: the exit status, negative for a signal."""
        return self.process.wait(seconds)

    def stderr(self) -> str:
        """What it has written to standard error."""
        return self.errors.read_text(errors="replace")


def complete_generations(directory: RunDirectory) -> int:
    """How many generations are complete."""
    return 1 + max((row["generation"] for row in directory.rows()), default=-1)


def newest_state(directory: RunDirectory) -> tuple[int, int] | None:
    """(generation, step) of the newest sealed state."""
    names = [p.name for p in (directory.path / "checksums").glob("state_*.json")]
    found = [re.fullmatch(r"state_generation_(\d+)_step_(\d+)\.json", name) for name in names]
    return max(((int(match[1]), int(match[2])) for match in found if match), default=None)


def lost(start: Start, cells: Sequence[Cell]) -> list[str]:
    """What an ended start has lost or done twice: nothing, if all is well."""
    rows = start.directory.rows()
    keys = [(row["generation"], Cell.of(row)) for row in rows]
    wrong = []
    if keys != list(itertools.product(range(complete_generations(start.directory)), cells)):
        wrong.append(f"rows are missing, doubled or in disorder: {keys}")
    if complete_generations(start.directory) < start.complete:
        wrong.append(f"of {start.complete} complete generations {complete_generations(start.directory)} are left")
    first = start.progress()[:1]
    if first and first[0][0] < start.complete:
        wrong.append(f"generation {first[0][0]} was complete and was trained again")
    if first and start.state and first[0] <= start.state:
        wrong.append(f"a state of {start.state} was there, and it went on to {first[0]}")
    if "Traceback" in start.stderr():
        wrong.append(f"a traceback: {start.stderr()[-2000:]}")
    return wrong
