"""Kills a sweep at random moments, starts it again until it ends, and compares everything with an undisturbed run.

    python -m tests.stress.kill --kills=60                    the kills, about 15 minutes on two cores
    python -m tests.stress.kill --kills=0 --parts=signals,damage,disk,two      the other faults, 10 minutes
    python -m tests.stress.kill --kills=0 --parts=demo        SIGTERM in the demo's phases, 10 minutes

Half of the kills come at moments of the clock, half at or shortly after a file operation of a chosen place. A table of
the phases they fell in goes to standard output; the exit status is 1 if anything was lost, left over or different.
"""

import collections
import dataclasses
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from launch import cli
from logic.errors import UsageError
from tests.stress.phases import PHASES, phases
from tests.stress.sweep import CELLS, CHUNKS, ROOT, AtOperation, Start, Sweep, lost

_KILLS = flags.DEFINE_integer("kills", 60, "how often to kill", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments")
_PARTS = flags.DEFINE_list("parts", [], "further faults: signals, damage, disk, two, demo")
_SCRATCH = flags.DEFINE_string(
    "scratch", "", "where the runs are kept; empty: a temporary directory, removed at the end"
)

PER_TRIAL = 6  # kills before a run may end

# (place, paths, file operations there in one generation, or in all): kills are spread over the places.
PLACES = [
    ("state", "/run/state/", 90),
    ("state's seal", r"/run/checksums/.*state_", 12),
    ("samples", "/run/samples/", 8),
    ("samples' seal", r"/run/checksums/.*samples_", 3),
    ("checkpoint", "/run/checkpoints/", 25),
    ("checkpoint's seal", r"/run/checksums/.*checkpoints_", 3),
    ("anatomy", "/run/anatomy/", 2),
    ("metrics.jsonl", r"/run/\.metrics\.jsonl", 2),
    ("metrics.csv", r"/run/\.metrics\.csv", 2),
]
CACHE = [("compilation cache", "/cache/", 3)]
FIRST = [("config.json", r"/run/\.config\.json", 2)]  # written once
LAST = [("report", "/run/report/", 40)]


@dataclasses.dataclass(frozen=True)
class Times:
    """What an undisturbed start takes, in seconds."""

    first_line: float
    first_chunk: float  # with compiled programs
    compiling: float


Moment = AtOperation | Callable[[Start], None]  # the latter sleeps until it is there


class Moments:
    """Where the next kills of a trial are to fall: every kind is drawn before one comes again."""

    def __init__(self, rng: random.Random, sweep: Sweep, times: Times):
        self.rng, self.sweep, self.times = rng, sweep, times
        self.decks: dict[str, list] = {}

    def trial(self, cold: bool) -> list[tuple[str, Moment]]:
        """PER_TRIAL kinds with their moments, in the order in which a run can meet them."""
        first: list[tuple[str, Moment]] = [self._place(FIRST, "first")] if self.rng.random() < 0.3 else []
        if cold:
            first += [("clock: compiling", self._while_compiling), self._place(CACHE, "cache")]
        last = self._place(LAST, "last") if self.rng.random() < 0.4 else ("clock: end", self._at_the_end)
        clocks = [
            ("clock: start", self._at_the_start),
            ("clock: anywhere", self._anywhere),
            ("clock: anywhere", self._anywhere),
        ]
        middle = []
        for i in range(PER_TRIAL - len(first) - 1):
            middle.append(self._draw(clocks, "clock") if i % 2 else self._place(PLACES, "middle"))
        self.rng.shuffle(middle)
        return [*first, *middle, last]

    def _draw(self, kinds: list, deck: str) -> Any:
        if not self.decks.get(deck):
            self.decks[deck] = self.rng.sample(kinds, len(kinds))
        return self.decks[deck].pop()

    def _place(self, places: list[tuple[str, str, int]], deck: str) -> tuple[str, AtOperation]:
        name, pattern, most = self._draw(places, deck)
        delay = self.rng.choice([0.0, self.rng.uniform(0.0, 0.03)])
        return name, AtOperation(pattern, self.rng.randint(1, most), delay)

    def _at_the_start(self, start: Start) -> None:
        start.sleep(self.rng.uniform(0.0, self.times.first_chunk))

    def _while_compiling(self, start: Start) -> None:
        start.wait_for_words("cells, ")
        start.sleep(self.rng.uniform(0.0, self.times.compiling))

    def _anywhere(self, start: Start) -> None:
        start.wait_for(self.rng.randint(1, CHUNKS + 1))
        start.sleep(self.rng.uniform(0.0, 0.5))

    def _at_the_end(self, start: Start) -> None:
        last = f"generation {self.sweep.generations}/{self.sweep.generations}, step {self.sweep.steps}/"
        if complete_but_for_the_report(start, self.sweep):
            start.sleep(self.times.first_line + self.rng.uniform(0.0, self.times.first_line))
        elif start.wait_for_words(last):
            start.sleep(
                self.rng.choice([self.rng.uniform(0.0, 1.0), self.rng.uniform(0.0, 1.5 * self.times.first_line)])
            )


def complete_but_for_the_report(start: Start, sweep: Sweep) -> bool:
    """Whether a start had nothing left to train."""
    return start.complete == sweep.generations


class Tally:
    """What was found, and said as it is found."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def note(self, where: str, found: list[str]) -> None:
        """Keeps and prints differences."""
        for line in found:
            print(f"WRONG {where}: {line}", file=sys.stderr, flush=True)
            self.wrong.append(f"{where}: {line}")


def kill_often(sweep: Sweep, reference: Start, scratch: Path, tally: Tally, times: Times) -> None:
    """The kills, and their table."""
    from tests.stress.outputs import differences

    rng = random.Random(_SEED.value)
    moments = Moments(rng, sweep, times)
    fell: collections.Counter[str] = collections.Counter()
    kinds: collections.Counter[str] = collections.Counter()
    kills = trials = missed = different = 0
    begun = time.monotonic()
    while kills < _KILLS.value:
        workdir = scratch / f"trial_{trials:03d}" / "run"
        workdir.parent.mkdir()
        cold = trials % 4 == 3  # it compiles for itself, and is killed meanwhile
        own = dataclasses.replace(sweep, cache=workdir.parent / "cache") if cold else sweep
        name, ended = workdir.parent.name, False
        for kind, moment in moments.trial(cold)[: _KILLS.value - kills]:
            with Start(own, workdir, moment if isinstance(moment, AtOperation) else None) as start:
                if not isinstance(moment, AtOperation):
                    moment(start)
                    killed = start.kill()
                else:
                    status = start.end()
                    killed = status == -9
                    if not killed and status != 0:
                        tally.note(name, [f"status {status}: {start.stderr()[-2000:]}"])
            where = phases(start, sweep.generations)
            tally.note(f"{name}, killed at {kind}, {where}", lost(start, CELLS))
            if not killed:
                missed, ended = missed + 1, True
                break
            kills += 1
            kinds[kind] += 1
            fell.update(where)
            print(f"{name} {kills:3d} {kind}: {', '.join(where)}", file=sys.stderr, flush=True)
            if kind == "compilation cache":
                tear(own.cache)
        if not ended:
            with Start(own, workdir) as start:
                if start.end() != 0:
                    tally.note(name, [f"the last start ended with {start.end()}: {start.stderr()[-2000:]}"])
            tally.note(f"{name}, last start", lost(start, CELLS))
        found = differences(start.directory, reference.directory)
        tally.note(name, found)
        different += len(found)
        trials += 1
        if not found and not _SCRATCH.value:
            shutil.rmtree(workdir.parent)
    print(f"\n{kills} kills in {trials} runs, {time.monotonic() - begun:.0f} s; {missed} more came after the end")
    print(f"differences to the undisturbed run: {different}; other faults: {len(tally.wrong) - different}\n")
    print("phase (a kill can fall in two)      kills")
    for phase in PHASES:
        print(f"{phase:34s}  {fell[phase]:5d}")
    print("\naimed at                            kills")
    for kind, count in sorted(kinds.items()):
        print(f"{kind:34s}  {count:5d}")
    sys.stdout.flush()


def main(argv: list[str]) -> None:
    """Runs the parts that the flags name."""
    from tests.stress import faults

    known = {"signals": faults.signals, "damage": faults.damage, "disk": faults.disk, "two": faults.two}
    unknown = set(_PARTS.value) - {*known, "demo"}
    if unknown:
        raise UsageError(f"--parts={','.join(sorted(unknown))}: allowed are {', '.join(known)}, demo")
    scratch = Path(_SCRATCH.value or tempfile.mkdtemp(prefix="stress-")).absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    tally, rng = Tally(), random.Random(_SEED.value)
    try:
        for package in ("eval", "launch", "logic", "loop", "model", "tests"):  # people may edit meanwhile
            shutil.copytree(ROOT / package, scratch / "source" / package, dirs_exist_ok=True)
        sweep = Sweep(cache=scratch / "cache", source=scratch / "source")
        if _KILLS.value or set(_PARTS.value) - {"demo"}:
            reference, times = undisturbed(sweep, scratch / "whole", tally)
            if _KILLS.value:
                kill_often(sweep, reference, scratch, tally, times)
            for part in _PARTS.value:
                if part in known:
                    tally.note(part, known[part](sweep, reference, scratch, rng))
        if "demo" in _PARTS.value:
            tally.note("demo", faults.demo(scratch, rng))
    finally:
        if not _SCRATCH.value and not tally.wrong:
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"\n{len(tally.wrong)} faults" + (f", kept in {scratch}" if tally.wrong else ""))
    sys.exit(1 if tally.wrong else 0)


def tear(cache: Path) -> None:
    """Cuts the newest program off, as a kill within its write leaves it: JAX writes them in place."""
    programs = sorted(cache.glob("*-cache"), key=lambda path: path.stat().st_mtime)
    if programs:
        os.truncate(programs[-1], programs[-1].stat().st_size // 2)


def undisturbed(sweep: Sweep, folder: Path, tally: Tally) -> tuple[Start, Times]:
    """A run to compare with."""
    compiling = 0.0
    for name in ("cold", "warm"):
        (folder / name).mkdir(parents=True)
        with Start(sweep, folder / name / "run") as start:
            start.wait_for_words("cells, ")
            said = time.time() - start.begun
            start.wait_for(1)
            told = time.time() - start.begun
            if start.end() != 0:
                tally.note("undisturbed", [start.stderr()])
            tally.note("undisturbed", lost(start, CELLS))
        print(
            f"undisturbed, {name}: {time.time() - start.begun:.1f} s, first chunk after {told:.1f} s", file=sys.stderr
        )
        compiling = max(compiling, told - said)
    return start, Times(said, told, compiling)


if __name__ == "__main__":
    cli.run(main)
