"""How a run is watched, saved and stopped, between two chunks of steps."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from loop.cell import Cell
from loop.config import Config
from loop.generation import Snapshot, TrainingProgress
from loop.storage.run_directory import RunDirectory
from loop.training import multihost


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where the sweep stands."""

    generation: int
    generations: int
    step: int
    max_steps: int
    loss: float  # nats per symbol, mean over cells
    tokens_per_second: float  # all cells together
    seconds_left: float  # of the whole sweep
    done: bool = False  # the generation has no steps left


class Stopped(Exception):  # noqa: N818 (no error: it was asked for)
    """The run has stopped as it was asked to; everything is saved."""


@dataclasses.dataclass(frozen=True)
class Control:
    """How a run is watched, saved and stopped; none of it changes a result."""

    members: str = "auto"  # how a device takes its cells; see loop/training/ensemble.py
    mesh: str = "auto"  # which devices share a cell; see loop/training/mesh.py
    tell: Callable[[Progress], None] = lambda progress: None
    warn: Callable[[str], None] = lambda line: None  # of damage that was met and made good
    stop: Callable[[], bool] = lambda: False  # asked after every chunk of steps
    save_seconds: float = 600.0  # training between two saved states; a generation that takes less saves none
    keep: str = "all"  # checkpoints of generations; see RunDirectory.prune
    recorded: Callable[[RunDirectory, int], None] = lambda directory, generation: None  # its rows are written


class Watch:
    """What happens between two chunks of steps: progress is told, the state is saved, the run may stop."""

    def __init__(
        self,
        config: Config,
        first: int,
        save: Callable[[int, int, Mapping[Cell, dict[str, Any]]], None],
        wait: Callable[[], None],
        control: Control,
        stopping: threading.Event,
    ):
        """Args:
        config: one of the settings'; they agree in what is read here.
        first: the generation that begins.
        save: begins to write the training states of a generation and step.
        wait: returns once they are written.
        """
        self.config, self.first, self.save, self.wait, self.control = config, first, save, wait, control
        self.stopping = stopping
        self.start = self.since = self.saved = time.monotonic()
        self.tokens = 0
        self.commit: Future | None = None  # of the generation before

    def begin(self) -> None:
        """Asked before a generation begins, when there is no training state that could be saved."""
        stop, _ = self.due(False)
        if stop:
            self.stopping.set()
            raise Stopped

    def of(self, generation: int) -> Callable[[TrainingProgress, Snapshot], None]:
        """The watch of one generation."""
        self.saved = time.monotonic()

        def between(progress: TrainingProgress, snapshot: Snapshot) -> None:
            self.tell(generation, progress)
            if self.commit is not None and self.commit.done() and not isinstance(self.commit.exception(), Stopped):
                self.commit.result()  # if it failed, this generation would be in vain; one that stopped is saved first
            stop, save = self.due(progress.done)
            if stop or save:
                self.save(generation, progress.step, snapshot())
                self.saved = time.monotonic()
            if stop:
                self.stopping.set()
                self.wait()
                raise Stopped

        return between

    def due(self, done: bool) -> tuple[bool, bool]:
        """(whether the run is to stop, whether its state is to be saved): several processes do so together.

        Before sampling, which cannot be stopped, a state is saved sooner.
        """
        waited = time.monotonic() - self.saved
        stop, save = self.control.stop(), waited >= self.control.save_seconds / (10 if done else 1)
        if multihost.alone():
            return stop, save
        everywhere = multihost.agree(stop, save)
        return bool(everywhere[:, 0].any()), bool(everywhere[0, 1])

    def tell(self, generation: int, p: TrainingProgress) -> None:
        """Turns a generation's progress into the sweep's."""
        now, total = time.monotonic(), self.config.loop.generations
        tokens = p.tokens - self.tokens if p.tokens > self.tokens else p.tokens
        rate = tokens / (now - self.since)
        self.since, self.tokens = now, p.tokens
        done = generation - self.first + min(p.step / self.config.train.max_steps, 1)
        left = (now - self.start) * ((total - self.first) / done - 1) if done else float("inf")
        steps = self.config.train.max_steps
        self.control.tell(Progress(generation, total, p.step, steps, p.loss, rate, left, p.done))
