"""The experiment: all generations of all cells, from an empty directory or from where a run stopped.

Several processes run it together. Each trains, samples and measures the cells on its own devices; the first one writes.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from loop.cell import Cell
from loop.config import Config
from loop.generation import run_generation
from loop.numbers import representative
from loop.outcome import Outcome
from loop.record import Measure, Measured
from loop.storage.run_directory import RunDirectory
from loop.track import Track
from loop.training import multihost
from loop.training.ensemble import Ensemble
from loop.training.first import First
from loop.training.mesh import parse_mesh
from loop.watch import Control, Stopped, Watch


def run(config: Config, directory: RunDirectory, measure: Measure, control: Control = Control()) -> None:
    """Runs one setting to its end: see `run_side_by_side`."""
    run_side_by_side({"": config}, {"": directory}, measure, control)


def run_side_by_side(
    settings: Mapping[str, Config],
    directories: Mapping[str, RunDirectory],
    measure: Measure,
    control: Control = Control(),
) -> None:
    """Runs settings that differ in numbers alone (loop/numbers.py) to their end, from wherever each has got to.

    All their networks are one ensemble, whatever is left to do, so that a run goes on with the same bits. A setting
    that is ahead waits. While a generation trains, the one before is written and measured, by `measure`, in a second
    thread; a generation is complete once its rows are in the metrics. Raises `Stopped` if `control` asks for it.
    """
    described = [[name, dataclasses.asdict(config)] for name, config in settings.items()]
    multihost.check_equal([described, control.members, control.mesh], "the configuration, --members or --mesh")
    tracks = [Track(name, config, directories[name], control) for name, config in settings.items()]
    unfinished = [track for track in tracks if track.find()]
    if not unfinished:
        return
    ensemble, owner, held = _place(settings, control)
    stopping = threading.Event()
    for track in unfinished:
        track.resume(owner, held, measure, stopping)
    tracks = [track for track in unfinished if track.loops]
    multihost.barrier("resumed")
    if tracks:
        if ensemble is not None:
            _recall_first_models(ensemble, {track.name: track for track in tracks})
        _run_generations(settings, tracks, ensemble, _load_states(tracks, held), control, stopping)
    for track in tracks:
        track.directory.wait()
    multihost.barrier("run")


def _place(settings: Mapping[str, Config], control: Control) -> tuple[Ensemble | None, dict[Cell, int], set[Cell]]:
    """The ensemble of the networks, if there are any; the process that measures each cell; the cells with their
    training sets here. Reference learners run where they are measured."""
    config = representative(list(settings.values()))
    cells = [cell.within(name) for name, setting in settings.items() for cell in setting.cells()]
    networks = [cell for cell in cells if cell.is_network]
    owner = {cell: i % jax.process_count() for i, cell in enumerate(c for c in cells if not c.is_network)}
    held = {cell for cell in owner if owner[cell] == jax.process_index()}
    if not networks:
        return None, owner, held
    mesh = parse_mesh(control.mesh, len(networks), len(jax.devices()), config.train.batch_size)
    ensemble = Ensemble(config, networks, control.members, mesh, settings)
    owner |= dict(zip(networks, ensemble.owner, strict=True))
    return ensemble, owner, held | {cell for cell, here in zip(networks, ensemble.held, strict=True) if here}


def _recall_first_models(ensemble: Ensemble, tracks: Mapping[str, Track]) -> None:
    """Gives the ensemble the models of generation 0, of the settings that are past it, as far as they are held here."""
    if all(track.start == 0 for track in tracks.values()):
        return
    found = [
        tracks[cell.setting].first_model(cell) if held and cell.setting in tracks else None
        for cell, held in zip(ensemble.cells, ensemble.held, strict=True)
    ]
    ensemble.first = First(ensemble.stack(found), np.array([params is not None for params in found]))


def _load_states(tracks: Sequence[Track], held: set[Cell]) -> dict[Cell, dict[str, Any]] | None:
    """The newest training state that all settings have of the first generation to run; None if there is none."""
    start = min(track.start for track in tracks)
    training = [t for t in tracks if t.start == start and any(cell.is_network for cell in t.loops)]
    common = set.intersection(*(t.directory.state_steps(start) for t in training)) if training else set()
    found: dict[Cell, dict[str, Any]] = {}
    steps: set[int | None] = set()
    for track in training:
        state = track.load_state(held, common)
        steps.add(state and state[0])
        found |= {cell.within(track.name): tree for cell, tree in state[1].items()} if state else {}
    multihost.check_equal(sorted(map(str, steps)), "the saved states in --workdir")
    return found if len(steps) == 1 and None not in steps else None


def _run_generations(
    settings: Mapping[str, Config],
    tracks: Sequence[Track],
    ensemble: Ensemble | None,
    saved: Mapping[Cell, dict] | None,
    control: Control,
    stopping: threading.Event,
) -> None:
    """The generations that are left, the first of them from a saved state if there is one."""

    def save(generation: int, step: int, trees: Mapping[Cell, dict]) -> None:
        for track in tracks:
            if mine := track.own(trees):
                track.directory.save_state(generation, step, mine)

    def wait() -> None:
        for track in tracks:
            track.directory.wait()

    config, start = tracks[0].config, min(track.start for track in tracks)
    watch = Watch(config, start, save, wait, control, stopping)
    commit: Future[list[Measured]] | None = None
    going: list[Track] = []
    # Here and not in the second thread: while TFDS is being imported, etils replaces `__import__` for all threads, and
    # what another thread imports meanwhile, as orbax does when it saves, is none of what it asked for.
    import loop.storage.samples  # noqa: F401

    with _background() as background, _whole(lambda: commit):
        for t in range(start, config.loop.generations):
            watch.begin()
            watch.commit = commit
            before, going = going, [track for track in tracks if track.start == t and track.loops]
            outcomes = _outcomes(settings, going, ensemble, t, watch, saved)
            saved = None
            if commit is not None:
                _settle(before, t - 1, commit.result())
            commit = background.submit(_commit, going, t, outcomes)
            for track, theirs in zip(going, outcomes, strict=True):
                track.advance(t, theirs)
            if not any(track.loops for track in tracks):
                break
        if commit is not None:
            _settle(going, t, commit.result())


def _outcomes(
    settings: Mapping[str, Config],
    going: Sequence[Track],
    ensemble: Ensemble | None,
    generation: int,
    watch: Watch,
    saved: Mapping[Cell, dict] | None,
) -> list[dict[Cell, Outcome]]:
    """What a generation ends with, of each of the settings that take part in it."""
    ended = [track.ended() for track in going]
    loops = {
        cell.within(track.name): loop
        for track, over in zip(going, ended, strict=True)
        for cell, loop in track.loops.items()
        if cell not in over
    }
    training_sets = {cell: loop.training_set if loop else None for cell, loop in loops.items()}
    past = {cell: [p.samples.expressions for p in loop.past] for cell, loop in loops.items() if loop}
    found = run_generation(settings, ensemble, generation, training_sets, watch.of(generation), saved, past)
    both = [over | track.own(found) for track, over in zip(going, ended, strict=True)]
    return [{cell: theirs[cell] for cell in track.loops} for track, theirs in zip(going, both, strict=True)]


def _commit(tracks: Sequence[Track], generation: int, outcomes: Sequence[Mapping[Cell, Outcome]]) -> list[Measured]:
    """Writes a generation of all settings before it measures any: a run that stops only measures when it goes on."""
    for track, theirs in zip(tracks, outcomes, strict=True):
        track.recorder.write(generation, theirs)
    return [track.recorder.commit(generation, theirs) for track, theirs in zip(tracks, outcomes, strict=True)]


def _settle(tracks: Sequence[Track], generation: int, measured: Sequence[Measured]) -> None:
    for track, theirs in zip(tracks, measured, strict=True):
        track.recorder.settle(generation, theirs)


@contextlib.contextmanager
def _background() -> Iterator[ThreadPoolExecutor]:
    """A second thread. What it has begun is finished first, whatever happens; unless it waits for a lost process."""
    background = ThreadPoolExecutor(max_workers=1)
    wait = multihost.alone()
    try:
        yield background
        wait = True
    except Stopped:
        wait = True
        raise
    finally:
        background.shutdown(wait=wait, cancel_futures=True)


@contextlib.contextmanager
def _whole(commit: Callable[[], Future[list[Measured]] | None]) -> Iterator[None]:
    """A run that stops ends with the error of its last write, if that failed: then not everything is saved."""
    try:
        yield
    except Stopped:
        last = commit()
        if last is not None:
            last.result()
        raise
