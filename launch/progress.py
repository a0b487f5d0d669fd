"""Progress of a sweep on standard error: a live line on a terminal, plain lines elsewhere; both go to the log."""

import datetime
import sys
from pathlib import Path
from types import TracebackType

from loop.storage.atomic_files import is_local
from loop.watch import Progress


class Reporter:
    """Shows progress while its `with` block runs."""

    def __init__(self, log: Path):
        self.log = log
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
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        if is_local(self.log):  # object stores cannot append; there the scheduler keeps standard error
            with self.log.open("a", encoding="utf-8") as f:
                f.write(f"{now} {line}\n")
        if self.status is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self.status.console.print(line, markup=False, highlight=False)

    def tell(self, p: Progress) -> None:
        """Shows where the sweep stands."""
        line = (
            f"generation {p.generation + 1}/{p.generations}, step {p.step}/{p.max_steps}, loss {p.loss:.3f}, "
            f"{_rate(p.tokens_per_second)} tokens/s, {_duration(p.seconds_left)} left"
        )
        if self.status is None:
            self.say(line)
        else:
            self.status.update(line)


class Silent(Reporter):
    """The reporter of a process that is not the first of several: it tells nothing."""

    def __init__(self) -> None:
        self.status = None

    def say(self, line: str) -> None:
        pass


def _rate(per_second: float) -> str:
    return f"{per_second / 1e6:.1f} M" if per_second >= 1e6 else f"{per_second / 1e3:.0f} k"


def _duration(seconds: float) -> str:
    if seconds == float("inf"):
        return "unknown time"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
