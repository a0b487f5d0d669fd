"""Two virtual devices, as a laptop of two cores has; no silent broadcasting; nothing is compiled twice in a session.

One persistent cache of compiled programs serves all workers of pytest-xdist and all commands that tests start: they
inherit the environment. It lasts for the session, so that no result depends on an earlier one. A cache that
JAX_COMPILATION_CACHE_DIR names is used instead, and stays. Runs that several files read are made once (`once`).
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # in the process that starts the workers
    _cache = tempfile.TemporaryDirectory(prefix="compilation-cache-", ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

from tests.compilation import SHARDY, cheaply

os.environ.update(cheaply())

import jax  # it reads the environment

if TYPE_CHECKING:  # each is slow to import, and most files need none
    from loop.config import Config
    from loop.storage.run_directory import RunDirectory
    from loop.training.programs import Layout, Programs

# A machine may be slow: examples have no time limit, and waiting ends late, where something hangs.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")


SHARING = ("mesh_test.py", "multihost_test.py", "memory_test.py", "micro_batch_test.py")
COMPARING = ("sweep_test.py", "analyze_test.py", "numbers_test.py")
LONGEST = ("multihost_test.py", "sweep_test.py", "main_test.py", "slurm_test.py", "kill_test.py", "run_test.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, then those with slow tests: a long file that is begun last keeps others waiting."""
    for item in items:
        if item.path.name in LONGEST:
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.name
        return LONGEST.index(name) if name in LONGEST else len(LONGEST), item.path not in slow

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def programs_are_traced_once() -> Iterator[None]:
    """Runs of equal configuration in one process share their programs: those that go on from others are many."""
    import loop.training.ensemble as module

    known: dict[tuple[Config, Layout, *tuple[bool, ...]], Programs] = {}

    def build(config: "Config", layout: "Layout", arguments: Sequence[jax.Array]) -> "Programs":
        how = (jax.config.values[f"jax_{name}"] for name in ("disable_most_optimizations", "use_shardy_partitioner"))
        alike = config, layout, *how
        if alike not in known:
            known[alike] = real(config, layout, arguments)
        return known[alike]

    real = module.build
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "build", build)
        yield


@pytest.fixture(scope="module", autouse=True)
def optimised(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where different programs are to give the same bits, they are optimised, as users have them."""
    if request.path.name not in COMPARING:
        yield
        return
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="module", autouse=True)
def partitioned(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where devices share a cell, programs are partitioned as users have them, those of commands as well."""
    if request.path.name not in SHARING:
        yield
        return
    os.environ[SHARDY] = "1"
    jax.config.update("jax_use_shardy_partitioner", True)
    yield
    os.environ[SHARDY] = "0"
    jax.config.update("jax_use_shardy_partitioner", False)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of the test have no pictures; those of fixtures of a wider scope have."""
    from tests.pictures import leave_out

    leave_out(monkeypatch.setattr)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """`once(name, make)`: the folder that `make(folder)` has filled, in whichever worker came first.

    Tests only read it; what they change is a copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # each worker has a folder of its own in it

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


class FinishedSweep(NamedTuple):
    """A finished run of all cycles."""

    config: "Config"
    directory: "RunDirectory"
    seen: list[tuple[int, int]]  # after every chunk of steps and at the end: generation, programs compiled so far


@pytest.fixture(scope="session")
def finished_sweep(once) -> FinishedSweep:
    """Three generations of 22 small cells of all cycles, several on each of two devices."""
    import dataclasses

    import jax.monitoring

    from eval.measures.generation import measure_generation
    from launch.configuration import resolve
    from launch.facts import facts
    from launch.presets import smoke
    from loop.run import run
    from loop.storage.run_directory import RunDirectory
    from loop.watch import Control

    given = smoke.get_config()
    given.sweep.update(cycles=("full", "incremental", "balanced", "expanding", "subsample", "fresh"), seeds=(0, 1))
    given.loop.update(num_samples=100)
    given.sample.update(batch_size=32)  # the last batch is not full
    config = resolve(given)

    def make(folder: Path) -> None:
        directory = RunDirectory(folder / "run")
        directory.create(dataclasses.asdict(config), "test", facts(config))
        compilations: list[str] = []
        seen: list[tuple[int, int]] = []

        def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
            if event.endswith("backend_compile_duration"):  # also of a program that the cache has
                compilations.append(event)

        jax.monitoring.register_event_duration_secs_listener(listen)
        tell = Control(tell=lambda p: seen.append((p.generation, len(compilations))))
        run(config, directory, measure_generation, tell)
        seen.append((config.loop.generations, len(compilations)))
        (folder / "seen.json").write_text(json.dumps(seen))

    folder = once("finished-sweep", make)
    seen = [tuple(pair) for pair in json.loads((folder / "seen.json").read_text())]
    return FinishedSweep(config, RunDirectory(folder / "run"), seen)
