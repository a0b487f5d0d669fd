"""A sweep from its configuration to its report: the devices, the directories, one run per setting, the page."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from eval.measures.generation import measure_generation
from eval.report.build import Run, read_runs, write_report
from eval.report.terminal import print_findings
from launch.cluster.shards import enter, of_shard, refuse_sharded, unfinished
from launch.facts import facts
from launch.faults import STOPPED, known_faults
from launch.progress import Reporter, Silent
from launch.resources import available_cores, available_memory
from launch.signals import StopRequests
from launch.tensorboard import check_tensorboard, write_events
from logic.errors import UsageError, printable, usage_errors
from loop.arithmetic import settle
from loop.cell import Cell
from loop.config import Config
from loop.devices import find
from loop.numbers import in_groups, representative
from loop.run import run_side_by_side
from loop.storage.checkpoints import check_keep
from loop.storage.combine import combine_metrics
from loop.storage.run_directory import RunDirectory
from loop.storage.shards import open_run
from loop.training import multihost
from loop.training.ensemble import members_at_once
from loop.training.memory import of_device, settings_that_fit
from loop.training.mesh import parse_mesh
from loop.watch import Control, Stopped
from model.models import model_of


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says besides the configuration; none of it changes a result."""

    workdir: str
    members: str
    mesh: str
    cpu_devices: int
    compilation_cache: str | None
    save_minutes: float
    keep: str
    deterministic: bool
    shard: tuple[int, int] | None
    tensorboard: bool = False


def run_sweep(config: Config, settings: Mapping[str, Config], options: Options) -> None:
    """Runs every setting to its end, and reports. Ends the program with a status of launch/faults.py if it stops."""
    devices = _prepare_devices(options)
    _check(settings, options)
    whole = directory = RunDirectory(options.workdir)
    writes = multihost.is_writer()
    if options.shard:
        if not multihost.alone():
            i, n = options.shard
            raise UsageError(f"--shard = {i}/{n}: a shard is run by one process, with --distributed=off")
        with known_faults(whole.path):
            directory = enter(whole, config, settings, options.shard, devices)
        config = of_shard(config, options.shard)
        settings = {name: of_shard(setting, options.shard) for name, setting in settings.items()}
    elif writes:
        refuse_sharded(whole)
    with (
        known_faults(directory.path),
        directory.lock() if writes else contextlib.nullcontext(),
        Reporter(directory.log) if writes else Silent() as reporter,
        contextlib.ExitStack() as locks,
    ):
        if writes:
            _begin(directory, config, devices, reporter)
        reporter.say(f"{len(config.cells())} cells, {config.loop.generations} generations, on {devices}")
        control = _control(options, reporter)
        every = [[name, dataclasses.asdict(setting)] for name, setting in settings.items()]
        multihost.check_equal([every, options.members, options.mesh], "the configuration, --members or --mesh")
        done = 0
        for group in in_groups(settings, lambda configs: _together(configs, options)):
            directories = {name: directory.setting(name) for name in group}
            for name, setting in group.items():
                done += 1
                if name:
                    reporter.say(f"setting {done} of {len(settings)}: {name}")
                    if writes:
                        locks.enter_context(directories[name].lock(reporter.say))
                        _begin(directories[name], setting, devices, reporter)
            _run_settings(group, directories, devices, control, reporter)
        if not options.shard and not _finished([directory.setting(name) for name in settings]):
            reporter.say("no cell finished a generation: there is nothing to report")
            sys.exit(1)
        if not writes:
            return
        if missing := unfinished(whole):
            others = ", ".join(f"{i} ({how})" for i, how in missing.items())
            reporter.say(f"this shard is finished, others are not: {others}; the last one makes the report")
            return
        runs, page = _report(whole, bool(options.shard or config.sweep.axes))
    by_path = {run.directory.path: run for run in runs}
    for name in settings:
        if run := by_path.get(open_run(whole.path).setting(name).path):  # none of a setting without results
            print(f"\n{name}" if name else "", end="\n" if name else "")
            print_findings(run)
    print(f"\nreport: {page}")


def _prepare_devices(options: Options) -> str:
    """Tells JAX how it is to run, before it sees a device; returns what config.json says of the devices."""
    settle(lambda line: print(f"launch.main: {line}", file=sys.stderr))
    jax.config.update("jax_num_cpu_devices", options.cpu_devices or available_cores())
    _keep_compiled(options.compilation_cache)
    devices = find()
    given = {"mesh": options.mesh, "members": options.members}
    flags = [f"--{name}={value}" for name, value in given.items() if value != "auto"]
    flags += ["--deterministic"] * options.deterministic
    if precision := jax.config.values["jax_default_matmul_precision"]:
        flags.append(f"JAX_DEFAULT_MATMUL_PRECISION={precision}")
    return ", ".join([f"{len(devices)} x {devices[0].device_kind}", *flags])


def _keep_compiled(directory: str | None) -> None:
    """Has compiled programs kept for the next start, if there is a place for them."""
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:  # JAX keeps none that takes less than a second
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if directory is None:
        if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
            return
        directory = "~/.cache/self-consuming-loop"
    try:
        jax.config.update("jax_compilation_cache_dir", str(Path(directory).expanduser()) if directory else None)
    except RuntimeError:  # no HOME, and a user without a name: a container
        print("launch.main: there is no home directory: compiled programs are not kept", file=sys.stderr)


def _check(settings: Mapping[str, Config], options: Options) -> None:
    """Refuses, before any work, flags that one of the settings cannot be run with."""
    with usage_errors():
        check_keep(options.keep)
        if options.tensorboard:
            check_tensorboard(RunDirectory(options.workdir).path)
        for config in settings.values():
            if networks := len(config.networks()):
                model_of(config.model)
                parse_mesh(options.mesh, networks, len(jax.devices()), config.train.batch_size)
                members_at_once(options.members, config, networks)


def _begin(directory: RunDirectory, config: Config, devices: str, reporter: Reporter) -> None:
    directory.create(dataclasses.asdict(config), devices, facts(config))
    directory.repair(reporter.say)


def _control(options: Options, reporter: Reporter) -> Control:
    return Control(
        members=options.members,
        mesh=options.mesh,
        tell=reporter.tell,
        warn=reporter.say,
        stop=StopRequests(reporter.say),
        save_seconds=60 * options.save_minutes,
        keep=options.keep,
        recorded=write_events if options.tensorboard else Control().recorded,
    )


def _together(configs: Sequence[Config], options: Options) -> int:
    """How many of the settings fit into memory together; the same in all processes."""
    config, most = representative(configs), len(configs)
    mine = available_memory() / jax.local_device_count()  # the host's, for each device
    accelerator = jax.default_backend() != "cpu"
    device = of_device() if accelerator else mine

    def mesh_of(cells: int) -> tuple[int, int]:
        return parse_mesh(options.mesh, cells, len(jax.devices()), config.train.batch_size)

    if device is not None:
        most = settings_that_fit(config, device, mine if accelerator else None, mesh_of, options.members, most)
    return multihost.agreed(most, min)


def _run_settings(
    settings: Mapping[str, Config],
    directories: Mapping[str, RunDirectory],
    devices: str,
    control: Control,
    reporter: Reporter,
) -> None:
    """Runs settings side by side to their end, from wherever they are."""
    multihost.barrier("repaired")
    for directory in directories.values():
        if not (directory.path / "config.json").exists():
            raise UsageError(f"--workdir {directory.path} is not where all processes see it")
        done = 1 + max((row["generation"] for row in directory.rows()), default=-1)
        if done:
            reporter.say(f"{directory.path} holds {done} complete generations: going on from there")
            if changes := directory.changes(devices):
                reporter.say(f"last digits may differ from those of one machine: {'; '.join(changes)}")
        if multihost.is_writer():
            control.recorded(directory, done)
    try:
        run_side_by_side(settings, directories, measure_generation, control)
    except Stopped:
        reporter.say("stopped; everything is saved: give the same command again to go on")
        sys.exit(STOPPED)
    for name, directory in directories.items():
        for row in directory.rows():
            if "status" in row:
                ended = f"{Cell.of(row).name} ended in generation {row['generation']}"
                reporter.say(f"{name and name + ': '}{ended}: {printable(row['status'])}")


def _finished(directories: Sequence[RunDirectory]) -> bool:
    """Whether any cell has finished a generation, as the first process sees it."""
    finished = any(directory.has_results() for directory in directories)
    return bool(multihost.gather(b"finished" if finished else b"")[0])


def _report(whole: RunDirectory, combined: bool) -> tuple[list[Run], Path]:
    """What the report says of every setting, and its page."""
    directory = open_run(whole.path)
    if combined:
        combine_metrics(directory)
    runs = read_runs([directory])
    return runs, write_report(runs, directory)
