"""Progress of a sweep on standard error: a live line on a terminal, plain lines elsewhere; the log has all of it.

It is best effort: neither a log nor a standard error (launch/standard_streams.py) that cannot be written ends a run.
"""

import datetime
import sys
import time
from pathlib import Path
from types import TracebackType

from loop.storage.atomic_files import is_local
from loop.watch import Progress

_INTERVAL = 10.0  # seconds between two plain lines within a generation


class Reporter:
    """Shows progress while its `with` block runs."""

    def __init__(self, log: Path):
        self.log = log
        self.logs = is_local(log)  # object stores cannot append; there the scheduler keeps standard error
        self.missed = False  # whether it was said that the log cannot be written
        self.told: tuple[int, float] | None = None  # generation and time of the last plain line
        self.status = None
        if sys.stderr.isatty():
            from rich.console import Console

            self.status = Console(stderr=True).status("compiling …")

    def __enter__(self) -> "Reporter":
        if self.status is not None:
            self.status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is not None:
            self.status.stop()

    def say(self, line: str) -> None:
        """Logs a line, and prints it."""
        self._write_log(line)
        self._print(line)

    def tell(self, p: Progress) -> None:
        """Shows where the sweep stands; plain lines in intervals, and at the beginning and the end of a generation."""
        line = (
            f"generation {p.generation + 1}/{p.generations}, step {p.step}/{p.max_steps}, loss {p.loss:.3f}, "
            f"{_rate(p.tokens_per_second)} tokens/s, {_duration(p.seconds_left)} left"
        )
        self._write_log(line)
        if self.status is not None:
            self.status.update(line)
            return
        now = time.monotonic()
        if p.done or self.told is None or self.told[0] != p.generation or now - self.told[1] >= _INTERVAL:
            self.told = p.generation, now
            self._print(line)

    def _print(self, line: str) -> None:
        if self.status is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self.status.console.print(line, markup=False, highlight=False)

    def _write_log(self, line: str) -> None:
        if not self.logs:
            return
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        try:
            with self.log.open("a", encoding="utf-8", errors="backslashreplace") as f:
                f.write(f"{now} {line}\n")
        except OSError as error:
            if not self.missed:
                self.missed = True
                self._print(f"{self.log} cannot be written ({error.strerror}): the run goes on without it")


class Silent(Reporter):
    """The reporter of a process that is not the first of several: it tells nothing."""

    def __init__(self) -> None:
        self.logs, self.missed, self.told, self.status = False, False, None, None

    def _print(self, line: str) -> None:
        pass


def _rate(per_second: float) -> str:
    return f"{per_second / 1e6:.1f} M" if per_second >= 1e6 else f"{per_second / 1e3:.0f} k"


def _duration(seconds: float) -> str:
    if seconds == float("inf"):
        return "unknown time"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
