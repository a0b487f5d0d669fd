"""Runs a sweep of self-consuming training loops, and reports what came out.

    python -m launch.main --config=launch/presets/demo.py --workdir=runs/demo [--config.model.width=128 …]

Presets (each one's docstring says what it takes and gives):
    launch/presets/smoke.py    seconds: every part once
    launch/presets/demo.py     minutes on a laptop: the paper's findings
    launch/presets/paper.py    the paper's settings and full grid, for accelerators

Any field of a preset can be overridden: --config.sweep.seeds=0,1,2 --config.sample.temperature=0.8.
A run that was stopped goes on when the same command is given again.
"""

import contextlib
import dataclasses
import os
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from launch import cli
from launch.cluster.distributed import processes
from launch.cluster.shards import enter, of_shard, parse_shard, refuse_sharded, unfinished
from launch.configuration import resolve, settings
from logic.errors import UsageError, printable, usage_errors
from loop.config import Config

_CONFIG = config_flags.DEFINE_config_file("config", None, "the preset: a Python file with get_config()")
_WORKDIR = flags.DEFINE_string("workdir", None, "directory of the run; made if it does not exist")
_MEMBERS = flags.DEFINE_string(
    "members", "auto", "how a device takes its cells: map (one by one), vmap (all at once), or so many at once"
)
_MESH = flags.DEFINE_string(
    "mesh", "auto", "devices as RUNxDATA: cells are spread over RUN, DATA devices share a cell's batch and parameters"
)
_CPU_DEVICES = flags.DEFINE_integer("cpu_devices", 0, "virtual CPU devices; 0: one per core", lower_bound=0)
_COMPILATION_CACHE = flags.DEFINE_string(
    "compilation_cache",
    "~/.cache/self-consuming-loop",
    "directory where compiled programs are kept for the next start; empty: none",
)
_SAVE_MINUTES = flags.DEFINE_float(
    "save_minutes",
    10.0,
    "training between two saved states within a generation; 0: one after every chunk",
    lower_bound=0,
)
_KEEP = flags.DEFINE_string(
    "keep", "all", "checkpoints of past generations: all, last (the newest two), or every:K (these and every K-th)"
)
_DISTRIBUTED = flags.DEFINE_enum(
    "distributed",
    "auto",
    ["auto", "on", "off"],
    "several processes as one program: if a cluster is seen to have started several (Slurm, Open MPI, TPU pods), "
    "always (needed on Kubernetes), or never",
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", "", "HOST:PORT of process 0, where no cluster tells it; with the next two"
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes run together", lower_bound=1)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "which of them this is, from 0", lower_bound=0)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "ask XLA for deterministic kernels on GPUs, at some cost in speed"
)
_SHARD = flags.DEFINE_string(
    "shard", "", "I/N: run only the I-th (from 0) of N shards of the cells, in a directory of its own in the workdir"
)


def main(argv: list[str]) -> None:
    """Runs the sweep that the flags describe."""
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    if _CONFIG.value is None:
        raise UsageError("--config is missing: name a preset, such as --config=launch/presets/demo.py")
    if not _WORKDIR.value:
        raise UsageError("--workdir is missing: name a directory for the run")
    with usage_errors():
        config = resolve(_CONFIG.value)
        parts = settings(_CONFIG.value)
        shard = parse_shard(_SHARD.value, config) if _SHARD.value else None
    if _DETERMINISTIC.value:  # read when JAX first sees a device
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    with processes(_DISTRIBUTED.value, _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value):
        _run(config, parts, shard, _WORKDIR.value)


def _run(config: Config, parts: dict[str, Config], shard: tuple[int, int] | None, workdir: str) -> None:
    # Only from here on is anything slow to import, or written.
    import jax

    from eval.measures.registry import columns
    from eval.report.build import build_report
    from eval.report.terminal import print_findings
    from launch.faults import STOPPED, known_faults
    from launch.progress import Reporter, Silent
    from launch.signals import StopRequests
    from logic.boolean.language import Boolean
    from loop.cell import Cell
    from loop.run import run
    from loop.storage.checkpoints import check_keep
    from loop.storage.run_directory import RunDirectory
    from loop.storage.shards import open_run
    from loop.training import multihost
    from loop.training.ensemble import members_at_once
    from loop.training.mesh import parse_mesh
    from loop.watch import Control, Stopped

    jax.config.update("jax_num_cpu_devices", _CPU_DEVICES.value or _cores())
    if _COMPILATION_CACHE.value:
        jax.config.update("jax_compilation_cache_dir", str(Path(_COMPILATION_CACHE.value).expanduser()))
    devices = jax.devices()
    whole = directory = RunDirectory(workdir)
    where = f"{len(devices)} x {devices[0].device_kind}"
    where += "".join(f", --{flag.name}={flag.value}" for flag in (_MESH, _MEMBERS) if flag.value != "auto")
    where += ", --deterministic" if _DETERMINISTIC.value else ""
    with usage_errors():
        check_keep(_KEEP.value)
        for part_config in parts.values():
            parse_mesh(_MESH.value, len(part_config.cells()), len(devices), part_config.train.batch_size)
            members_at_once(_MEMBERS.value, part_config, len(part_config.cells()))
    first = multihost.first()
    if shard and not multihost.alone():
        raise UsageError(f"--shard = {_SHARD.value}: a shard is run by one process, with --distributed=off")
    if shard:
        with known_faults(whole.path):
            directory = enter(whole, config, parts, shard, where)
        config, parts = of_shard(config, shard), {label: of_shard(part, shard) for label, part in parts.items()}
    elif first:
        refuse_sharded(whole)
    language = Boolean(**dataclasses.asdict(config.language))
    with (
        known_faults(directory.path),
        directory.lock() if first else contextlib.nullcontext(),
        Reporter(directory.log) if first else Silent() as reporter,
        contextlib.ExitStack() as locks,
    ):
        control = Control(
            members=_MEMBERS.value,
            mesh=_MESH.value,
            tell=reporter.tell,
            warn=reporter.say,
            stop=StopRequests(reporter.say),
            save_seconds=60 * _SAVE_MINUTES.value,
            keep=_KEEP.value,
        )
        if first:
            directory.create(dataclasses.asdict(config), where, columns(language))
            directory.repair(reporter.say)
        reporter.say(f"{len(config.cells())} cells, {config.loop.generations} generations, on {where}")
        for i, (label, part_config) in enumerate(parts.items(), 1):
            part = directory.setting(label)
            if label:
                reporter.say(f"setting {i} of {len(parts)}: {label}")
                if first:
                    locks.enter_context(part.lock(reporter.say))
                    part.create(dataclasses.asdict(part_config), where, columns(language))
                    part.repair(reporter.say)
            multihost.barrier("repaired")
            if not (part.path / "config.json").exists():
                raise UsageError(f"--workdir {part.path} is not where all processes see it")
            done = 1 + max((row["generation"] for row in part.rows()), default=-1)
            if done:
                reporter.say(f"{part.path} holds {done} complete generations: going on from there")
                if changes := part.changes(where):
                    reporter.say(f"last digits may differ from those of one machine: {'; '.join(changes)}")
            try:
                run(part_config, part, control)
            except Stopped:
                reporter.say("stopped; everything is saved: give the same command again to go on")
                sys.exit(STOPPED)
            for row in part.rows():
                if "status" in row:
                    cell = Cell.of(row)
                    reporter.say(f"{cell.name} ended in generation {row['generation']}: {printable(row['status'])}")
            nothing = not shard and all("status" in row for row in part.rows())
            if multihost.gather(b"nothing" if nothing else b"")[0]:  # as the first one sees it
                reporter.say("no cell finished a generation: there is nothing to report")
                sys.exit(1)
        if not first:
            return
        if missing := unfinished(whole):
            shards = ", ".join(f"{i} ({how})" for i, how in missing.items())
            reporter.say(f"shard {_SHARD.value} is finished, others are not: {shards}; the last one makes the report")
            return
        whole = open_run(whole.path)
        if shard or config.sweep.axes:
            whole.combine_metrics()
        page = build_report([whole])
    for label in parts:
        if label:
            print(f"\n{label}")
        print_findings(whole.setting(label))
    print(f"\nreport: {page}")


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    cli.run(main)
