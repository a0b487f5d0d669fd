"""Faults other than kill -9: signals, damaged files, a full disk, two processes. Each returns what went wrong."""

import collections
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from loop.storage.run_directory import RunDirectory
from loop.storage.samples import split_name
from tests.stress.outputs import REFUSED, differences
from tests.stress.phases import phases
from tests.stress.sweep import CELLS, CHUNKS, Start, Sweep, complete_generations, lost, newest_state

STOPPED, STORAGE, MISTAKE, AT_ONCE = 75, 74, 2, 130  # exit statuses; see launch/faults.py


def say(line: str) -> None:
    """To people who wait."""
    print(line, file=sys.stderr, flush=True)


def signals(sweep: Sweep, reference: Start, scratch: Path, rng: random.Random, count: int = 16) -> list[str]:
    """SIGTERM and SIGINT at random moments, a second SIGINT in every fifth."""
    workdir, wrong, done = scratch / "signals_0" / "run", [], 0
    slowest: dict[str, float] = {}
    statuses: collections.Counter[int] = collections.Counter()
    while done < count:
        workdir.parent.mkdir(exist_ok=True)
        number = rng.choice([signal.SIGTERM, signal.SIGINT])
        with Start(sweep, workdir) as start:
            if rng.random() < 0.4:
                start.sleep(rng.uniform(0, 6))
            else:
                start.wait_for(rng.randint(1, CHUNKS))
                start.sleep(rng.uniform(0, 0.4))
            heard = bool(start.said())  # only after it has its lock does it speak, and the handlers are there
            complete = len(start.directory.rows()) == sweep.generations * len(CELLS)
            start.process.send_signal(number)
            begun = time.monotonic()
            if done % 5 == 0:
                start.sleep(0.02)
                start.process.send_signal(signal.SIGINT)
            status = start.end()
            took = time.monotonic() - begun
        statuses[status] += 1
        done += 1
        where = phases(start, sweep.generations)
        expected = {STOPPED} if heard and not complete else {0, STOPPED, -number, AT_ONCE}
        # The last chunk may be over: then it only measures and ends.
        if start.said() and f"generation {sweep.generations}/" in start.said()[-1]:
            expected |= {0}
        if done % 5 == 1:
            expected |= {AT_ONCE, -signal.SIGINT, -signal.SIGTERM}
        if status not in expected:
            wrong.append(
                f"{number.name}: status {status}, expected {expected}; {start.said()[-2:]}, {start.stderr()[-900:]}"
            )
        if "Traceback" in start.stderr() and not heard:
            say(f"  (a traceback before the handlers were there: {start.stderr().splitlines()[-1]})")
        else:
            wrong += lost(start, CELLS)
        slowest[where[0]] = max(slowest.get(where[0], 0.0), took)
        say(f"signals {done:2d} {number.name}: status {status} after {took:.2f} s, {', '.join(where)}")
        if status == 0 or done == count:
            with Start(sweep, workdir) as start:
                if start.end() != 0:
                    wrong.append(f"status {start.end()} at the end: {start.stderr()[-2000:]}")
            wrong += differences(start.directory, reference.directory)
            workdir = scratch / f"signals_{done}" / "run"
    print(f"\n{count} signals; exit statuses {dict(statuses)}; slowest exit by phase:")
    for phase, seconds in slowest.items():
        print(f"{phase:34s}  {seconds:5.2f} s")
    return wrong


def flip(path: Path, rng: random.Random) -> str:
    """Changes one bit of a file, anywhere in it."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"byte {at} of {path.name}"


def files(directory: Path) -> list[Path]:
    """All that are not empty."""
    return sorted(p for p in directory.rglob("*") if p.is_file() and p.stat().st_size)


def damage(sweep: Sweep, reference: Start, scratch: Path, rng: random.Random) -> list[str]:
    """One bit of a state, a checkpoint, samples or a seal flipped between a kill and the next start."""
    wrong = []
    print("\none bit flipped between kill and restart:")
    for n in range(10):
        kind = ("state", "state", "checkpoint", "checkpoint", "samples", "seal")[n % 6]
        workdir = scratch / f"damage_{n:02d}" / "run"
        workdir.parent.mkdir()
        with Start(sweep, workdir) as start:
            complete = 1 + n % 2  # the newest checkpoint is of a generation that has no rows yet, or that has
            while (newest_state(start.directory) or (0, 0)) < (2, 20) or len(start.directory.rows()) < complete * len(
                CELLS
            ):
                if start.process.poll() is not None:
                    break
                start.sleep(0.003)
            start.kill()
        directory = RunDirectory(workdir)
        at = newest_state(directory)
        t = directory.checkpoints()[-1]
        if kind == "state" and at:
            where = flip(rng.choice(files(workdir / "state" / "generation_{:04d}_step_{:08d}".format(*at))), rng)
        elif kind == "checkpoint":
            cell = rng.choice([CELLS[0], CELLS[2]])  # that of a cycle with memory is not read
            where = flip(rng.choice(files(workdir / "checkpoints" / str(t) / cell.name)), rng)
        elif kind == "samples":
            t = rng.randrange(t + 1)
            split = directory.samples_path(t) / f"samples-{split_name(CELLS[1].name)}.array_record-00000"
            where = flip(split, rng)  # of the cycle that draws from all past samples
        else:
            where = flip(rng.choice(files(workdir / "checksums")), rng)
        with Start(sweep, workdir) as start:
            status = start.end()
        said = [line for line in start.said() if "damaged" in line]
        if status != 0:
            wrong.append(f"{kind}, {where}: status {status}, {start.stderr()[-2000:]}")
        elif kind != "seal" and not said:
            wrong.append(f"{kind}, {where}: not a word")
        found = differences(directory, reference.directory)
        # What the loop did not need, or could do without, is as damaged as before; whoever reads it is told.
        refused = [line for line in found if line.startswith(REFUSED)]
        found = [line for line in found if line not in refused or kind == "state"]
        again = f"{len(start.progress())} chunks to the end"
        wrong += [f"{kind}, {where}: {line}" for line in found]
        kept = f"; {len(refused)} refused afterwards" if refused else ""
        print(f"{kind:10s} {where}: status {status}, {again}{kept}; said: {said[0] if said else 'nothing'}", flush=True)
    return wrong


def disk(sweep: Sweep, reference: Start, scratch: Path, rng: random.Random) -> list[str]:
    """Disks of several sizes run full; then there is space."""
    wrong = []
    used = sum(p.stat().st_blocks * 512 for p in reference.directory.path.rglob("*"))
    print(f"\na full disk (the whole run takes {used / 1024:.0f} kB):")
    for n, share in enumerate((0.02, 0.15, 0.35, 0.6, 0.85)):
        place, size = scratch / f"disk_{n}", int(share * used / 1024)
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
            print("skipped: mounting a small tmpfs is not allowed here")
            return []
        workdir, errors = place / "run", scratch / f"disk_{n}.txt"
        try:
            with Start(sweep, workdir, errors=errors) as start:
                status, lines = start.end(), start.stderr().splitlines()
            if status != STORAGE or "Traceback" in start.stderr() or "the disk is full; make space" not in lines[-1]:
                wrong.append(f"{size} kB: status {status}, {start.stderr()[-2000:]}")
            reached = [line for line in lines if line.startswith("generation")][-1:]
            # Again, as people do before they have made space.
            with Start(sweep, workdir, errors=errors) as start:
                if start.end() != STORAGE or "Traceback" in start.stderr():
                    wrong.append(f"{size} kB, again: status {start.end()}, {start.stderr()[-2000:]}")
            subprocess.run(["mount", "-o", "remount,size=500m", str(place)], check=True)
            with Start(sweep, workdir, errors=errors) as start:
                if start.end() != 0:
                    wrong.append(f"{size} kB, with space: status {start.end()}, {start.stderr()[-2000:]}")
            wrong += [f"{size} kB: {line}" for line in differences(start.directory, reference.directory)]
            print(f"{size:6d} kB: status {status} after {reached}: {lines[-1]}", flush=True)
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)
    return wrong


def two(sweep: Sweep, reference: Start, scratch: Path, rng: random.Random) -> list[str]:
    """Two processes on one directory: one runs, the other says who holds it."""
    wrong = []
    print("\ntwo processes on one directory:")
    for n in range(3):
        workdir = scratch / f"two_{n}" / "run"
        workdir.parent.mkdir()
        with Start(sweep, workdir) as one:
            if n:
                one.sleep(rng.uniform(0, 8))
            with Start(sweep, workdir, errors=workdir.parent / "second.txt") as other:
                statuses = {one.process.pid: one.end(), other.process.pid: other.end()}
        if sorted(statuses.values()) != [0, MISTAKE]:
            wrong.append(f"statuses {statuses}")
        first, second = (one, other) if one.end() == 0 else (other, one)
        line = second.stderr().splitlines()[-1]
        if f"in use by process {first.process.pid} on " not in line:
            wrong.append(line)
        wrong += differences(first.directory, reference.directory)
        print(line.partition(": ")[2], flush=True)
    return wrong


def demo(scratch: Path, rng: random.Random) -> list[str]:
    """SIGTERM in every phase of the demo's first generations: seconds to leave; whether it ends with the same bits."""
    sweep = Sweep(scratch / "cache_demo", scratch / "source", generations=4, steps=600, preset="demo", more=())
    wrong, took = [], []
    (scratch / "demo_whole").mkdir()
    with Start(sweep, scratch / "demo_whole" / "run") as reference:
        if reference.end(1200) != 0:
            return [reference.stderr()]
    say(f"demo, undisturbed: {time.time() - reference.begun:.0f} s")
    workdir = scratch / "demo" / "run"
    workdir.parent.mkdir()
    print("\nSIGTERM on the demo:")
    # (chunks to wait for, seconds after): compiling, training, sampling, measuring beside training; the report.
    moments = [(0, 4.0), (1, 0.3), (2, 1.0), (1, 0.05), (2, 0.0), (2, 0.3), (1, 1.0), (4, 0.2), (0, 3.0), (0, 5.0)]
    for lines, delay in moments:
        with Start(sweep, workdir) as start:
            if start.complete < sweep.generations:
                start.wait_for(lines)
            start.sleep(delay * rng.uniform(0.7, 1.3))
            if start.process.poll() is not None:
                break
            start.process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            status = start.end()
            took.append(time.monotonic() - begun)
        where = ", ".join(phases(start, sweep.generations))
        print(f"status {status} after {took[-1]:5.2f} s: {where}; {start.progress()[-1:]}", flush=True)
        finished = complete_generations(start.directory) == sweep.generations
        allowed = {0} if finished else {STOPPED} if start.said() else {STOPPED, -signal.SIGTERM}
        if status not in allowed:
            wrong.append(f"status {status}: {start.stderr()[-2000:]}")
        if took[-1] > 10:
            wrong.append(f"{took[-1]:.1f} s to leave in {where}")
    with Start(sweep, workdir) as start:
        if start.end(1200) != 0:
            return [*wrong, start.stderr()]
    return wrong + differences(start.directory, reference.directory)
