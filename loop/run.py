"""The experiment: all generations of all cells, from an empty directory or from where a run stopped.

Several processes run it together. Each trains, samples and measures the cells on its own devices; the first one writes.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import jax

from loop.cell import Cell
from loop.config import Config
from loop.generation import run_generation
from loop.outcome import Outcome
from loop.record import Measure, Measured, Recorder
from loop.resume import Loop, complete_rows, endings, first_models, rebuild, reload
from loop.storage.run_directory import RunDirectory
from loop.training import multihost
from loop.training.ensemble import Ensemble
from loop.training.mesh import parse_mesh
from loop.watch import Control, Stopped, Watch


def run(config: Config, directory: RunDirectory, measure: Measure, control: Control = Control()) -> None:
    """Runs the sweep to its end, from wherever `directory` has got to.

    While a generation trains, the one before is written and measured, by `measure`, in a second thread; a generation
    is complete once its rows are in the metrics. Raises `Stopped` if `control` asks for it.
    """
    cells = config.cells()
    found = directory.rows()
    settings = [dataclasses.asdict(config), control.members, control.mesh]
    multihost.check_equal(settings, "the configuration, --members or --mesh")
    multihost.check_equal(found, "the metrics in --workdir")
    rows = complete_rows(directory, found, cells, control.warn)
    start = 1 + max((row["generation"] for row in rows), default=-1)
    if start == config.loop.generations or _all_ended(rows, cells):
        if multihost.is_writer():
            directory.drop_states(lambda t: t < start)  # killed between the last rows and this
            directory.prune(control.keep)
        return
    ensemble, owner, held = _place(config, control)
    start, loops = rebuild(config, directory, cells, held, rows, start, control.warn)
    rows = [row for row in rows if row["generation"] < start]
    if multihost.is_writer() and len(rows) < len(found):
        directory.write_rows(rows)  # at once: what is computed again must not count as complete
    recorder = Recorder(config, directory, owner, measure, rows, control)
    written = reload(config, directory, loops, start, control.warn)
    if written is not None:  # killed after it was written
        recorder.complete(start, recorder.measure(start, written))
        loops = _advance(config, loops, start, written)
        start += 1
    if start == config.loop.generations or not loops:
        multihost.barrier("run")
        return
    if multihost.is_writer():
        directory.remove_from(start)  # of another past: not complete, damaged, or after something damaged
    multihost.barrier("removed")
    if ensemble is not None and start > 0:
        ensemble.first = first_models(config, directory, ensemble, loops.keys(), control.warn)
    seeds = {cell.seed for cell in held}
    state = directory.load_state(start, control.warn, lambda c: c in held or (start == 0 and c.seed in seeds))
    multihost.check_equal(state and state[0], "the saved states in --workdir")
    _run_generations(config, directory, ensemble, loops, start, state and state[1], recorder, control)
    directory.wait()
    multihost.barrier("run")


def _place(config: Config, control: Control) -> tuple[Ensemble | None, dict[Cell, int], set[Cell]]:
    """The ensemble of the networks, if there are any; the process that measures each cell; the cells with their
    training sets here. Reference learners run where they are measured."""
    networks = config.networks()
    others = [cell for cell in config.cells() if not cell.is_network]
    owner = {cell: i % jax.process_count() for i, cell in enumerate(others)}
    held = {cell for cell in others if owner[cell] == jax.process_index()}
    if not networks:
        return None, owner, held
    mesh = parse_mesh(control.mesh, len(networks), len(jax.devices()), config.train.batch_size)
    remedies = [cell.remedy for cell in networks]
    ensemble = Ensemble(config, [cell.seed for cell in networks], control.members, mesh, remedies)
    owner |= dict(zip(networks, ensemble.owner, strict=True))
    return ensemble, owner, held | {cell for cell, here in zip(networks, ensemble.held, strict=True) if here}


def _run_generations(
    config: Config,
    directory: RunDirectory,
    ensemble: Ensemble | None,
    loops: dict[Cell, Loop | None],
    start: int,
    saved: Mapping[Cell, dict] | None,
    recorder: Recorder,
    control: Control,
) -> None:
    """The generations from `start` on, the first of them from a saved state if there is one."""
    watch = Watch(config, directory, start, control, recorder.stopping)
    commit: Future[Measured] | None = None
    # Here and not in the second thread: while TFDS is being imported, etils replaces `__import__` for all threads, and
    # what another thread imports meanwhile, as orbax does when it saves, is none of what it asked for.
    import loop.storage.samples  # noqa: F401

    with _background() as background, _whole(lambda: commit):
        for t in range(start, config.loop.generations):
            watch.begin()
            watch.commit = commit
            ended = endings(loops)
            going = {cell: loop for cell, loop in loops.items() if cell not in ended}
            training_sets = {cell: loop.training_set if loop else None for cell, loop in going.items()}
            past = {cell: [p.samples.expressions for p in loop.past] for cell, loop in going.items() if loop}
            outcomes = run_generation(config, ensemble, t, training_sets, watch.of(t), saved, past)
            outcomes = {cell: ended.get(cell) or outcomes[cell] for cell in loops}
            saved = None
            if commit is not None:
                recorder.settle(t - 1, commit.result())
            commit = background.submit(recorder.commit, t, outcomes)
            loops = _advance(config, loops, t, outcomes)
            if not loops:
                break
        if commit is not None:
            recorder.settle(t, commit.result())


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
def _whole(commit: Callable[[], Future[Measured] | None]) -> Iterator[None]:
    """A run that stops ends with the error of its last write, if that failed: then not everything is saved."""
    try:
        yield
    except Stopped:
        last = commit()
        if last is not None:
            last.result()
        raise


def _all_ended(rows: list[dict], cells: list[Cell]) -> bool:
    return {Cell.of(row) for row in rows if "status" in row} >= set(cells)


def _advance(
    config: Config, loops: Mapping[Cell, Loop | None], generation: int, outcomes: Mapping[Cell, Outcome]
) -> dict[Cell, Loop | None]:
    """The loops that go on, each with its next training set."""
    alive = {cell: loop for cell, loop in loops.items() if outcomes[cell].status is None}
    for cell, loop in alive.items():
        if loop is not None:
            loop.advance(config, cell, generation, outcomes[cell].written)
    return alive
