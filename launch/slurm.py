"""Submits a sweep to Slurm: as one job over several hosts, or as an array of tasks with a shard of the cells each.

    python -m launch.slurm --config=launch/presets/paper.py --workdir=DIR --array=8 --gpus_per_node=1 --time=1-00:00:00
    python -m launch.slurm --config=launch/presets/paper.py --workdir=DIR --nodes=2 --gpus_per_node=4 --time=600

Any flag of launch.main may be given, --config.model.width=128 as well. DIR has to be where all nodes see it. The job's
number goes to standard output; --dry_run prints the script instead and submits nothing.

Before its time is up the program is told to save; it ends with status 75, and the job puts itself back into the queue.
So it does when the program was killed or has lost another of its processes, and Slurm does when a node fails or the
job is preempted. It goes on from DIR.
What is submitted is a plain script: nothing is pickled, and sbatch alone can run it. By hand, without submitit:

    sbatch --array=0-7 --requeue --signal=TERM@120 --wrap='srun python -m launch.main --config=… --workdir=DIR
        --distributed=off --shard=$SLURM_ARRAY_TASK_ID/8 || { [ $? = 75 ] && scontrol requeue $SLURM_JOB_ID; }'
    srun --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 python -m launch.main --config=… --workdir=DIR --distributed=on
    python -m eval.report --workdir=DIR
"""

import dataclasses
import math
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags

from launch import cli
from launch import main as launcher
from launch.cluster.shards import enter, refuse_sharded
from launch.configuration import resolve, settings
from logic.errors import UsageError, usage_errors
from loop.config import Config
from loop.storage.atomic_files import is_local, locate
from loop.storage.checkpoints import check_keep
from loop.storage.run_directory import RunDirectory

_ARRAY = flags.DEFINE_integer("array", 0, "tasks, each with a shard of the cells; 0: one job for all", lower_bound=0)
_MAX_PARALLEL = flags.DEFINE_integer("max_parallel", 0, "tasks of the array at a time; 0: all", lower_bound=0)
_NODES = flags.DEFINE_integer("nodes", 1, "hosts of the one job", lower_bound=1)
_GPUS = flags.DEFINE_integer("gpus_per_node", 0, "GPUs on every host, or for every task of an array", lower_bound=0)
_TASKS = flags.DEFINE_integer(
    "tasks_per_node", 0, "processes on every host of the one job; 0: one per GPU, one without GPUs", lower_bound=0
)
_CPUS = flags.DEFINE_integer("cpus_per_task", 0, "cores of every process; 0: the cluster's default", lower_bound=0)
_MEM = flags.DEFINE_string("mem", "", "memory on every host, such as 16G")
_TIME = flags.DEFINE_string("time", "", "time until the job has to save and queue again: minutes or D-HH:MM:SS")
_GRACE = flags.DEFINE_integer(
    "grace",
    120,
    "seconds before that at which the program is told to stop: more than a chunk of train.eval_interval steps takes, "
    "of which launch.plan tells, and the saving of the state",
    lower_bound=1,
)
_PARTITION = flags.DEFINE_string("partition", "", "the cluster's partition")
_ACCOUNT = flags.DEFINE_string("account", "", "the account that is charged")
_QOS = flags.DEFINE_string("qos", "", "quality of service")
_SBATCH = flags.DEFINE_multi_string("sbatch", [], "another option of sbatch, such as constraint=h100; may be repeated")
_SETUP = flags.DEFINE_multi_string("setup", [], "a line of shell before the program: module load …; may be repeated")
_MAX_REQUEUES = flags.DEFINE_integer("max_requeues", 100, "times a job queues again by itself", lower_bound=0)
_LOGS = flags.DEFINE_string("logs", "", "directory of the jobs' scripts and logs; WORKDIR/slurm if empty")
_DRY_RUN = flags.DEFINE_boolean("dry_run", False, "print the script, submit nothing")
flags.adopt_module_key_flags(launcher)

# A signal to the whole job, from scancel or a preemption, reaches the shell as well: Slurm then decides what becomes of
# the job, and queueing it again would undo a scancel. The shell outlives it, so that the program has time to save.
_TRAP = "trap by_slurm=1 TERM"
# 75 (EX_TEMPFAIL) is launch.main's status when it was told to stop and has saved; 137 is that of SIGKILL, 143 that of a
# SIGTERM during the first imports. 76 and 134 are those of processes that have lost another one, so a process without
# others is not queued again for them: it has aborted, and would again. Nor are several that abort at once: that another
# is lost is noticed later. srun ends with the highest signal of its tasks or, without one, the highest status. Where a
# cgroup has killed a task for its memory, srun says so and ends with 1, as for an error (SIG_OOM in Slurm's srun.c):
# only the end of the log tells them apart.
_REQUEUE = """\
status=$?
if [ -n "${{by_slurm-}}" ]; then exit $status; fi
if [ $status = 1 ] && [ -f /dev/stderr ] && tail -n 50 /dev/stderr | grep -q '^srun: error: .*: Out Of Memory$'; then
  status=137
fi
case $status in {again}) ;; *) exit $status ;; esac
if [ $status = 134 ] && [ "$SECONDS" -lt 60 ]; then
  echo "status 134, within a minute: something here makes JAX abort, and would again" >&2
  exit $status
fi
if [ "${{SLURM_RESTART_COUNT:-0}}" -ge {most} ]; then
  echo "status $status, and already queued again {most} times: submit the same command to go on" >&2
  exit $status
fi
echo "status $status: queueing again, to go on where the program stopped" >&2
scontrol requeue "$SLURM_JOB_ID" || exit $status"""


def main(argv: list[str]) -> None:
    """Submits what the flags describe, or prints it."""
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    given = flags.FLAGS
    if given.config is None:
        raise UsageError("--config is missing: name a preset, such as --config=launch/presets/demo.py")
    if not given.workdir:
        raise UsageError("--workdir is missing: name a directory that all nodes see")
    with usage_errors():
        config = resolve(given.config)
        configs = settings(given.config)
    _check_flags(config, configs)
    whole = RunDirectory(given.workdir)
    if not _LOGS.value and not is_local(whole.path):
        raise UsageError(f"--logs is missing: logs cannot be in {whole.path}, name a directory that all nodes see")
    logs = locate(_LOGS.value) if _LOGS.value else whole.path / "slurm"
    what, parameters = _command(str(whole.path)), _parameters(whole.path.name)
    if _DRY_RUN.value:
        print(_script(what, logs, parameters))
        return
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UsageError("sbatch and srun are not here: submit on a cluster's login node; --dry_run prints the script")
    _check_workdir(whole, config, configs)
    job = _submit(what, logs, parameters)
    print(job)
    _say(f"job {job}: {f'an array of {_ARRAY.value} shards' if _ARRAY.value else 'all cells'}, {whole.path}")
    _say(f"watch:   squeue -j {job}")
    _say(f"         tail -F {shlex.quote(f'{logs}/{job}')}_*_log.out")
    _say(f"stop:    scancel {job}")
    _say(f"report:  python -m eval.report --workdir={shlex.quote(str(whole.path))}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _check_flags(config: Config, configs: dict[str, Config]) -> None:
    given, cells = flags.FLAGS, len(config.all_cells())
    for name in ("shard", "distributed"):
        if given[name].present:
            raise UsageError(f"--{name} is for launch.main: here --array and --nodes decide it")
    if _ARRAY.value > cells:
        raise UsageError(f"--array = {_ARRAY.value}: allowed are at most {cells}, the number of cells")
    if _ARRAY.value and (_NODES.value > 1 or _TASKS.value > 1):
        raise UsageError("--array with --nodes or --tasks_per_node: a shard runs on one host, as one process")
    if _several() and _GPUS.value and _TASKS.value not in (0, _GPUS.value):
        raise UsageError(
            f"--tasks_per_node = {_TASKS.value}: allowed is --gpus_per_node, {_GPUS.value}: each process has one GPU"
        )
    if _MEM.value and not re.fullmatch(r"\d+[KMGT]?", _MEM.value):
        raise UsageError(f"--mem = {_MEM.value}: allowed are sizes such as 16G or 500M")
    if _TIME.value and _seconds(_TIME.value) <= _GRACE.value:
        raise UsageError(f"--time = {_TIME.value}: allowed is more than --grace, {_GRACE.value} seconds")
    for option in _SBATCH.value:
        if not re.fullmatch(r"[a-z][a-z-]*(=.+)?", option):
            raise UsageError(f"--sbatch = {option}: allowed are NAME=VALUE and NAME, without dashes in front")
    try:
        check_keep(given.keep)
    except ValueError as error:  # it begins with the flag's name
        raise UsageError(f"--{error}") from None
    if _GPUS.value:
        _check_mesh(given.mesh, cells, [part.train.batch_size for part in configs.values()])


def _check_mesh(mesh: str, cells: int, batch_sizes: list[int]) -> None:
    """Refuses now what would be refused after hours in the queue, such as GPUs, each a process, without work."""
    from loop.training.mesh import parse_mesh  # imports JAX

    def smallest(gpus: int) -> tuple[int, int]:
        return min((parse_mesh(mesh, cells, gpus, size) for size in batch_sizes), key=math.prod)

    gpus = _GPUS.value * (1 if _ARRAY.value else _NODES.value)
    try:
        run, data = smallest(gpus)
    except ValueError as error:  # it begins with the flag's name
        raise UsageError(f"--{error}") from None
    if run * data == gpus or not _several():
        return
    if mesh != "auto":
        allowed = f"{run * data}, with --mesh={run}x{data}"
    else:
        most = next(n for n in range(run * data, 0, -1) if math.prod(smallest(n)) == n)
        allowed = f"at most {most}" if most <= cells else f"{most}, or at most {cells}"
    raise UsageError(
        f"--nodes x --gpus_per_node = {gpus} with --mesh={mesh}: {cells} cells use {run * data}, and each has to have "
        f"work: allowed are {allowed}"
    )


def _seconds(time: str) -> int:
    found = re.fullmatch(r"(\d+)|(?:(\d+)-)?(\d{1,2}):(\d{2}):(\d{2})", time)
    if found is None:
        raise UsageError(f"--time = {time}: allowed are minutes and D-HH:MM:SS")
    minutes, days, *hms = (int(part or 0) for part in found.groups())
    return 60 * minutes + 86_400 * days + 3_600 * hms[0] + 60 * hms[1] + hms[2]


def _several() -> bool:
    """Whether several processes are one program."""
    return not _ARRAY.value and _NODES.value * _tasks_per_node() > 1


def _tasks_per_node() -> int:
    """JAX under Slurm gives every process one GPU, unless it is the only one."""
    return 1 if _ARRAY.value else _TASKS.value or max(_GPUS.value, 1)


def _command(workdir: str) -> str:
    """launch.main with the flags that were given to this command; the batch shell fills in the shard."""
    where = [f"--distributed={'on' if _several() else 'off'}"]
    if _ARRAY.value:
        where.append(f"--shard=$SLURM_ARRAY_TASK_ID/{_ARRAY.value}")
    passed = [f"--workdir={workdir}"]
    passed += [f.serialize() for f in flags.FLAGS.get_flags_for_module(launcher) if f.present and f.name != "workdir"]
    passed += _overrides(sys.argv[1:])
    return " ".join([*map(shlex.quote, [sys.executable, "-u", "-m", "launch.main", *passed]), *where])


def _overrides(arguments: list[str]) -> Iterator[str]:
    """`--config.x.y=value` as it was typed: absl writes nested tuples back so that they cannot be read again."""
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.lstrip("-").partition("=")
        if word.startswith("-") and re.match(r"(no)?config\.", name):
            alone = equals or name not in flags.FLAGS or flags.FLAGS[name].boolean
            yield word if alone else f"{word}={next(words)}"


def _parameters(name: str) -> dict[str, Any]:
    """What `submitit` makes directives of."""
    again = "75 | 76 | 134 | 137 | 143" if _several() else "75 | 137 | 143"
    more: dict[str, Any] = {"requeue": True, "signal": f"TERM@{_GRACE.value}", "chdir": str(Path.cwd())}
    for option in _SBATCH.value:
        key, equals, value = option.partition("=")
        more[key] = value if equals else True
    parameters: dict[str, Any] = {
        "job_name": name,
        "time": _TIME.value or None,
        "nodes": 1 if _ARRAY.value else _NODES.value,
        "ntasks_per_node": _tasks_per_node(),
        "cpus_per_task": _CPUS.value or None,
        "gpus_per_node": _GPUS.value or None,
        "mem": _MEM.value or None,
        "partition": _PARTITION.value or None,
        "account": _ACCOUNT.value or None,
        "qos": _QOS.value or None,
        "wckey": None,
        "stderr_to_stdout": True,
        "setup": [*_SETUP.value, _TRAP],
        "teardown": _REQUEUE.format(most=_MAX_REQUEUES.value, again=again).split("\n"),
        # srun takes the number of cores from the job only up to Slurm 21.
        "srun_args": [f"--cpus-per-task={_CPUS.value}"] if _CPUS.value else [],
        "additional_parameters": more,
    }
    if _ARRAY.value:
        parameters |= {"map_count": _ARRAY.value, "array_parallelism": _MAX_PARALLEL.value or _ARRAY.value}
    return parameters


def _script(what: str, logs: Path, parameters: dict[str, Any]) -> str:
    slurm = _submitit()
    folder = str(logs).replace("%", "\ue000")  # of nobody's alphabet: submitit and Slurm fill in patterns such as %j
    return slurm._make_sbatch_string(command=what, folder=folder, **parameters).replace("\ue000", "%%")


def _submit(what: str, logs: Path, parameters: dict[str, Any]) -> str:
    """Returns the job's number. The script stays beside the logs, as NUMBER_submission.sh."""
    slurm = _submitit()
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        logs.mkdir(parents=True, exist_ok=True)
        executor = slurm.SlurmExecutor(logs)
        executor._make_submission_file_text = lambda command, uid: _script(command, logs, parameters)
        return executor._submit_command(what).job_id
    except (FailedJobError, FailedSubmissionError) as error:
        raise UsageError(f"sbatch refuses the job: {error}") from None
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"--logs = {logs}: {why}; allowed is a directory that can be written") from None


def _submitit() -> Any:
    try:
        from submitit.slurm import slurm
    except ImportError:
        raise UsageError("submitit is not installed: pip install -r requirements-slurm.txt") from None
    return slurm


def _check_workdir(whole: RunDirectory, config: Config, configs: dict[str, Config]) -> None:
    """Refuses here what every task would refuse: a directory of another run, in use, or in other shards."""
    with whole.lock():
        if not (whole.path / "config.json").exists():
            return
        if _ARRAY.value:
            enter(whole, config, configs, (0, _ARRAY.value), "not started")
        else:
            refuse_sharded(whole)
            whole.create(dataclasses.asdict(config), "not started")


if __name__ == "__main__":
    cli.run(main)
