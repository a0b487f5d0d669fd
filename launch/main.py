"""Runs a sweep of self-consuming training loops, and reports what came out.

    python -m launch.main --config=launch/presets/demo.py --workdir=runs/demo [--config.model.width=128 …]

Presets (each one's docstring says what it takes and gives):
    launch/presets/smoke.py    seconds: every part once
    launch/presets/demo.py     minutes on a laptop: the paper's findings, tested
    launch/presets/tautologies.py    minutes on a laptop: expressions over p and q, true whatever these are
    launch/presets/remedies.py    minutes: what remedies against the collapse do, and cost
    launch/presets/study.py:PART    minutes to hours: the parts of docs/results.md
    launch/presets/paper.py    the paper's settings and full grid, for accelerators

Any field of a preset can be overridden: --config.sweep.seeds=0,1,2 --config.sample.temperature=0.8.
A run that was stopped goes on when the same command is given again.
"""

import os
import signal
import sys
from pathlib import Path

if not __package__:  # python launch/main.py, where Python looks for modules beside this file only
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from launch import cli
from launch.cluster.distributed import processes
from launch.cluster.shards import parse_shard
from launch.configuration import resolve, settings
from launch.resources import allow_files
from logic.errors import UsageError, usage_errors

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
    None,
    "directory where compiled programs are kept for the next start; empty: none (default: that of "
    "JAX_COMPILATION_CACHE_DIR, else ~/.cache/self-consuming-loop)",
)
_SAVE_MINUTES = flags.DEFINE_float(
    "save_minutes",
    10.0,
    "training between two saved states within a generation; 0: one after every chunk",
    lower_bound=0,
)
_KEEP = flags.DEFINE_string(
    "keep",
    "all",
    "checkpoints of past generations: all, last (the first and the newest two), or every:K (these and every K-th)",
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
_TENSORBOARD = flags.DEFINE_bool(
    "tensorboard",
    False,
    "write event files for TensorBoard beside the tables, after every generation: tensorboard/CELL",
)
_SHARD = flags.DEFINE_string(
    "shard", "", "I/N: run only the I-th (from 0) of N shards of the cells, in a directory of its own in the workdir"
)


def main(argv: list[str]) -> None:
    """Runs the sweep that the flags describe."""
    allow_files()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal ends no run; later launch/signals.py says so
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    if _CONFIG.value is None:
        raise UsageError("--config is missing: name a preset, such as --config=launch/presets/demo.py")
    if not _WORKDIR.value:
        raise UsageError("--workdir is missing: name a directory for the run")
    with usage_errors():
        config = resolve(_CONFIG.value)
        configs = settings(_CONFIG.value)
        shard = parse_shard(_SHARD.value, config) if _SHARD.value else None
    if _DETERMINISTIC.value:  # read when JAX first sees a device
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    with processes(_DISTRIBUTED.value, _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value):
        from launch.sweep import Options, run_sweep  # slow to import, and not before JAX knows of the other processes

        options = Options(
            workdir=_WORKDIR.value,
            members=_MEMBERS.value,
            mesh=_MESH.value,
            cpu_devices=_CPU_DEVICES.value,
            compilation_cache=_COMPILATION_CACHE.value,
            save_minutes=_SAVE_MINUTES.value,
            keep=_KEEP.value,
            deterministic=_DETERMINISTIC.value,
            shard=shard,
            tensorboard=_TENSORBOARD.value,
        )
        run_sweep(config, configs, options)


if __name__ == "__main__":
    cli.run(main)
