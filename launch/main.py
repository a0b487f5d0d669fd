"""Runs a sweep of self-consuming training loops, and reports what came out.

    python -m launch.main --config=launch/presets/demo.py --workdir=runs/demo [--config.model.width=128 …]

Presets (each one's docstring says what it takes and gives):
    launch/presets/smoke.py    seconds: every part once
    launch/presets/demo.py     minutes on a laptop: the paper's findings
    launch/presets/paper.py    the paper's settings and full grid, for accelerators

Any field of a preset can be overridden: --config.sweep.seeds=0,1,2 --config.sample.temperature=0.8.
A run that was stopped goes on when the same command is given again.
"""

import dataclasses
import os
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from launch.configuration import resolve, settings
from logic import command

_CONFIG = config_flags.DEFINE_config_file("config", None, "the preset: a Python file with get_config()")
_WORKDIR = flags.DEFINE_string("workdir", None, "directory of the run; made if it does not exist")
_MEMBERS = flags.DEFINE_enum(
    "members", "auto", ["auto", "map", "vmap"], "how a device takes its cells: one by one or all at once"
)
_CPU_DEVICES = flags.DEFINE_integer("cpu_devices", 0, "virtual CPU devices; 0: one per core", lower_bound=0)
_COMPILATION_CACHE = flags.DEFINE_string(
    "compilation_cache",
    "~/.cache/self-consuming-loop",
    "directory where compiled programs are kept for the next start; empty: none",
)


def main(argv: list[str]) -> None:
    """Runs the sweep that the flags describe."""
    if len(argv) > 1:
        raise command.UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    if _CONFIG.value is None:
        raise command.UsageError("--config is missing: name a preset, such as --config=launch/presets/demo.py")
    if not _WORKDIR.value:
        raise command.UsageError("--workdir is missing: name a directory for the run")
    with command.usage_errors():
        config = resolve(_CONFIG.value)
        parts = settings(_CONFIG.value)

    # Only from here on is anything slow to import, or written.
    import jax

    from eval.cell import Cell
    from eval.report import build_report, print_findings
    from eval.run_directory import RunDirectory
    from launch.progress import Reporter
    from loop.run import run

    jax.config.update("jax_num_cpu_devices", _CPU_DEVICES.value or _cores())
    if _COMPILATION_CACHE.value:
        jax.config.update("jax_compilation_cache_dir", str(Path(_COMPILATION_CACHE.value).expanduser()))
    devices = jax.devices()
    directory = RunDirectory(_WORKDIR.value)
    where = f"{len(devices)} x {devices[0].device_kind}"
    directory.create(dataclasses.asdict(config), where)
    with Reporter(directory.log) as reporter:
        reporter.say(f"{len(config.cells())} cells, {config.loop.generations} generations, on {where}")
        for i, (label, part_config) in enumerate(parts.items(), 1):
            part = directory.part(label)
            if label:
                reporter.say(f"setting {i} of {len(parts)}: {label}")
                part.create(dataclasses.asdict(part_config), where)
            done = 1 + max((row["generation"] for row in part.rows()), default=-1)
            if done:
                reporter.say(f"{part.path} holds {done} complete generations: going on from there")
            run(part_config, part, _MEMBERS.value, reporter.tell)
            for row in part.rows():
                if "status" in row:
                    cell = Cell(row["cycle"], row["fresh_ratio"], row["seed"])
                    reporter.say(f"{cell.name} ended in generation {row['generation']}: {row['status']}")
            if all("status" in row for row in part.rows()):
                reporter.say("no cell finished a generation: there is nothing to report")
                sys.exit(1)
        if config.sweep.axes:
            directory.combine_metrics()
        page = build_report([directory])
    for label in parts:
        if label:
            print(f"\n{label}")
        print_findings(directory.part(label))
    print(f"\nreport: {page}")


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    command.run(main)
