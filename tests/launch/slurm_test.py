"""launch.slurm: its script as text, and on a real Slurm of one node, where there is one."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import commands
from tests.compilation import as_users

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "tests" / "slurm" / "cluster.sh"
PRESET = "--config=launch/presets/smoke.py"


def python(module, *flags, **environment):
    return commands.run(module, *flags, env={**os.environ, **environment})


def dry_run(*flags):
    result = python("launch.slurm", PRESET, "--workdir=/runs/my run", "--dry_run", *flags)
    assert result.returncode == 0, result.stderr
    assert subprocess.run(["bash", "-n"], input=result.stdout, text=True).returncode == 0
    directives = [line.removeprefix("#SBATCH --") for line in result.stdout.splitlines() if line.startswith("#SBATCH")]
    return result.stdout, directives


def run_script(script, tmp_path, srun, **environment):
    """Runs a script of ours with stand-ins for srun and scontrol; returns its status, and their arguments."""
    tools = {"srun": srun, "scontrol": ""}
    for name, body in tools.items():
        lines = ["#!/bin/bash", f'printf "%s\\n" "$@" > {tmp_path}/{name}.called', body]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", **environment}
    with (tmp_path / "log").open("a") as log:  # as Slurm opens it
        status = subprocess.run(["bash"], input=script, text=True, stdout=log, stderr=log, env=environment).returncode
    called = {name: (tmp_path / f"{name}.called") for name in tools}
    return status, {name: path.read_text().splitlines() for name, path in called.items() if path.exists()}


def test_an_array_runs_a_share_in_every_task(tmp_path):
    flags = [
        "--array=4",
        "--max_parallel=2",
        "--time=1-00:30:00",
        "--gpus_per_node=1",
        "--cpus_per_task=8",
        "--mem=16G",
    ]
    flags += ["--partition=gpu", "--account=me", "--qos=low", "--sbatch=constraint=h100", "--sbatch=exclusive"]
    script, directives = dry_run(*flags, "--setup=module() { :; }", "--setup=module load cuda", "--grace=60")
    assert set(directives) >= {
        "array=0-3%2",
        "time=1-00:30:00",
        "nodes=1",
        "ntasks-per-node=1",
        "gpus-per-node=1",
        "cpus-per-task=8",
        "mem=16G",
        "partition=gpu",
        "account=me",
        "qos=low",
        "constraint=h100",
        "exclusive",
        "requeue",
        "signal=TERM@60",
        "open-mode=append",
        f"chdir={Path.cwd()}",
        "output='/runs/my run/slurm/%A_%a_0_log.out'",
    }
    assert not any("wckey" in line for line in directives)
    assert script.index("module load cuda") < script.index("srun")
    status, called = run_script(script, tmp_path, "exit 0", SLURM_ARRAY_TASK_ID="3")
    assert (status, "scontrol" in called) == (0, False)
    assert called["srun"][called["srun"].index("-m") :][:2] == ["-m", "launch.main"]
    assert sys.executable in called["srun"]
    assert {"--shard=3/4", "--workdir=/runs/my run", PRESET, "--cpus-per-task=8"} <= set(called["srun"])


def test_a_percent_sign_in_the_name_of_logs_is_none_of_slurms_patterns(tmp_path):
    _, directives = dry_run(f"--logs={tmp_path}/50%j", "--array=2")
    assert f"output={tmp_path}/50%%j/%A_%a_0_log.out" in [line.replace("'", "") for line in directives]


@pytest.mark.slow
def test_one_job_has_a_process_per_gpu_or_per_host():
    gpus = ["--gpus_per_node=2"]
    for flags, tasks in [(gpus, 2), ([*gpus, "--tasks_per_node=2"], 2), ([], 1), (["--tasks_per_node=3"], 3)]:
        script, directives = dry_run("--nodes=2", *flags)
        assert {"nodes=2", f"ntasks-per-node={tasks}"} <= set(directives)
        assert not any(line.startswith("array") for line in directives)
        assert "--shard" not in script
        assert "--distributed=on" in script
    assert "--distributed=off" in dry_run()[0]
    assert "--distributed=off" in dry_run("--gpus_per_node=8", "--tasks_per_node=1")[0]  # one process has all GPUs


@pytest.mark.slow
def test_gpus_that_the_mesh_fills_are_accepted():
    three = ["--config.sweep.cycles=full", "--config.sweep.fresh_ratios=0,0.25,0.5", "--dry_run"]
    for flags in (["--gpus_per_node=6"], ["--nodes=3", "--gpus_per_node=1"], ["--gpus_per_node=4", "--mesh=2x2"]):
        dry_run(*three, *flags)


@pytest.mark.slow
def test_all_flags_of_the_launcher_arrive_as_they_were_given():
    awkward = ["--config.sweep.seeds=2,3", "--config.sweep.cycles", "full,fresh", "--config.loop.renewal_share=0.5"]
    awkward += ["--config.sweep.axes=(('model.width',(16,32)),('train.validation',('mixed','real')))", "--members=vmap"]
    script, _ = dry_run(*awkward)
    line = next(line for line in script.splitlines() if line.startswith("srun"))
    read = """
import json, sys
from absl import flags
from launch import main
from launch.configuration import resolve
flags.FLAGS(sys.argv)
print(json.dumps([repr(resolve(flags.FLAGS.config)), flags.FLAGS.members]))
"""
    sent = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True).stdout.split("\n")
    sent = sent[sent.index("launch.main") + 1 : -1]
    resolved = [
        subprocess.run([sys.executable, "-c", read, *flags], capture_output=True, text=True, check=True).stdout
        for flags in (sent, [PRESET, *awkward])
    ]
    assert resolved[0] == resolved[1]
    assert "renewal_share=0.5" in json.loads(resolved[0])[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "restarts", "seconds", "nodes", "requeued"),
    [(status, 0, 90, 2, False) for status in (0, 1, 2, 69, 74)]
    + [(status, 4, 90, 2, True) for status in (75, 76, 134, 137, 143)]
    + [(status, 4, 0, 2, status != 134) for status in (75, 76, 134, 137, 143)]  # an abort at once
    + [(status, 4, 90, 1, status not in (76, 134)) for status in (75, 76, 134, 137, 143)]  # nobody to be lost
    + [(75, 5, 90, 2, False), (76, 5, 90, 2, False)],
)
def test_what_was_stopped_queues_again_and_what_failed_does_not(status, restarts, seconds, nodes, requeued, tmp_path):
    script, _ = dry_run("--max_requeues=5", f"--nodes={nodes}")
    environment = {"SLURM_RESTART_COUNT": str(restarts), "SECONDS": str(seconds)}  # the shell counts on from there
    found, called = run_script(script, tmp_path, f"exit {status}", **environment)
    assert called.get("scontrol") == (["requeue", "7"] if requeued else None)
    assert found == (0 if requeued else status)


def test_a_task_that_a_cgroup_killed_for_its_memory_queues_again(tmp_path):
    script, _ = dry_run("--max_requeues=5")
    srun = "echo 'srun: error: node1: task 0: Out Of Memory' >&2; exit 1"
    for restarts, expected in [("4", (0, True)), ("5", (137, False))]:
        folder = tmp_path / restarts
        folder.mkdir()
        status, called = run_script(script, folder, srun, SLURM_RESTART_COUNT=restarts)
        assert (status, "scontrol" in called) == expected
    piped = subprocess.run(
        ["bash"], input=script.replace("\nsrun ", "\nfalse "), text=True, capture_output=True, timeout=200
    )
    assert piped.returncode == 1  # nothing to look into: it does not wait for a log


def test_a_job_that_slurm_stops_does_not_queue_again(tmp_path):
    script, _ = dry_run()
    status, called = run_script(script, tmp_path, "kill -TERM $PPID; exit 75")  # scancel signals the shell as well
    assert (status, "scontrol" in called) == (75, False)


WRONG = [
    (["--array=6"], "--array = 6: allowed are at most 5"),
    (["--array=2", "--nodes=2"], "--array with --nodes"),
    (["--array=-1"], "array"),
    (["--time=soon"], "--time = soon: allowed are minutes and D-HH:MM:SS"),
    (["--time=1-00"], "--time = 1-00"),
    (["--time=2"], "--time = 2: allowed is more than --grace, 120 seconds"),
    (["--mem=lots"], "--mem = lots"),
    (["--sbatch=--constraint=h100"], "without dashes"),
    (["--nodes=2", "--gpus_per_node=4", "--tasks_per_node=2"], "--tasks_per_node = 2: allowed is --gpus_per_node, 4"),
    (["--gpus_per_node=2", "--tasks_per_node=4"], "--tasks_per_node = 4: allowed is --gpus_per_node, 2"),
    (["--gpus_per_node=8"], "5 cells use 5, and each has to have work: allowed are at most 5"),
    (["--nodes=2", "--gpus_per_node=4", "--mesh=8x1"], "allowed are 5, with --mesh=5x1"),
    (["--gpus_per_node=8", "--config.sweep.cycles=full", "--config.sweep.fresh_ratios=0,0.25,0.5"], "6, or at most 3"),
    (["--gpus_per_node=4", "--mesh=3x3"], "--mesh = 3x3: that takes 9 devices, there are 4"),
    (["--array=2", "--gpus_per_node=2", "--mesh=two"], "--mesh = two: allowed are auto and RUNxDATA"),
    (["--gpus_per_node=3", "--config.sweep.axes=(('train.batch_size',(15,16)),)", "--mesh=1x3"], "batch_size = 16"),
    (["--keep=some"], "--keep = some: allowed are all, last, and every:K"),
    (["--shard=0/2"], "--shard is for launch.main"),
    (["--config.model.width=0"], "model.width"),
    (["--config.model.widht=8"], "widht"),
    (["--nodse=2"], "nodse"),
    (["extra"], "extra"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "named"), WRONG)
def test_a_mistake_gets_one_line_before_anything_is_submitted(flags, named, tmp_path):
    result = python("launch.slurm", PRESET, f"--workdir={tmp_path}/run", *flags)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert named in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_slurm_it_says_so(tmp_path):
    result = python("launch.slurm", PRESET, f"--workdir={tmp_path}/run", PATH=str(tmp_path))
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
    assert "--dry_run" in result.stderr
    assert list(tmp_path.iterdir()) == []


def submit(tmp_path, *flags):
    """With a stand-in for sbatch that accepts everything."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sbatch", "srun"):
        (tools / name).write_text("#!/bin/bash\necho Submitted batch job 7\n")
        (tools / name).chmod(0o755)
    given = [PRESET, f"--workdir={tmp_path}/my run", *flags]
    return python("launch.slurm", *given, PATH=f"{tools}:{os.environ['PATH']}")


def test_the_commands_that_it_names_work_with_spaces_in_the_path(tmp_path):
    result = submit(tmp_path)
    assert (result.returncode, result.stdout) == (0, "7\n"), result.stderr
    (tmp_path / "my run" / "slurm" / "7_0_log.out").write_text("begun")
    line = next(line for line in result.stderr.splitlines() if "tail -F" in line)
    command = line.strip().replace("tail -F", "cat")
    assert subprocess.run(["bash", "-c", command], capture_output=True, text=True).stdout == "begun"


@pytest.mark.parametrize("place", ["file", "file/logs", "/proc/logs"])
def test_logs_that_cannot_be_written_are_one_line(place, tmp_path):
    (tmp_path / "file").touch()
    result = submit(tmp_path, f"--logs={tmp_path / place}")
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, "", 1), result.stderr
    assert f"--logs = {tmp_path / place}: " in result.stderr


# The real thing.


def skip_reason():
    if os.getuid() != 0:
        return "a cluster needs root"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(name, path=path)]
    return f"no {', '.join(missing)} here: tests/slurm/cluster.sh install" if missing else ""


@pytest.fixture
def cluster():
    """A cluster of one node while the test runs; the value is the environment of its commands."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:  # short: a socket lies in it
        pids = []
        try:
            subprocess.run([CLUSTER, "up", folder], check=True, timeout=600)
            pids = [int(path.read_text()) for path in Path(folder).glob("*.pid")]
            assert len(pids) == 3
            yield {"SLURM_CONF": f"{folder}/slurm.conf"}
        finally:
            subprocess.run([CLUSTER, "down", folder], check=True, timeout=600)
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


class Jobs:
    """Slurm's commands."""

    def __init__(self, environment):
        self.environment = {**os.environ, **environment}

    def command(self, *words):
        return subprocess.run(words, capture_output=True, text=True, check=True, env=self.environment).stdout

    def show(self, job):
        """State, number of restarts, and the job's own number (a task of an array has one as well)."""
        text = self.command("scontrol", "show", "job", job)
        state, restarts, own = (re.findall(rf"\b{name}=(\w+)", text)[0] for name in ("JobState", "Restarts", "JobId"))
        return state, int(restarts), own

    def pids(self, job):
        """The processes of a job's program, without those of its shell."""
        lines = self.command("scontrol", "listpids", self.show(job)[2]).splitlines()[1:]
        return [int(line.split()[0]) for line in lines if line.split()[2] not in ("batch", "extern")]


def wait_for(condition, seconds=1_000):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "this takes too long"
        time.sleep(0.05)
    return value


def table(workdir):
    """metrics.csv without the columns of time."""
    with (workdir / "metrics.csv").open() as f:
        return [{k: v for k, v in row.items() if not k.endswith("_seconds")} for row in csv.DictReader(f)]


@pytest.mark.slow
@pytest.mark.skipif(bool(skip_reason()), reason=skip_reason())
def test_an_array_whose_tasks_are_stopped_in_three_ways_ends_as_a_local_run(cluster, tmp_path, monkeypatch):
    for name, value in as_users().items():  # programs of one cell and of three give the same bits
        monkeypatch.setenv(name, value)
    slurm, workdir = Jobs(cluster), tmp_path / "run"
    sweep = [PRESET, "--config.loop.generations=4", "--config.train.max_steps=60", "--cpu_devices=1"]
    sweep += ["--config.sweep.cycles=full,fresh", f"--compilation_cache={os.environ['JAX_COMPILATION_CACHE_DIR']}"]
    submitted = python("launch.slurm", f"--workdir={workdir}", "--array=3", "--time=10", *sweep, **cluster)
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    assert f"squeue -j {job}" in submitted.stderr
    tasks = [f"{job}_{i}" for i in range(3)]

    def kill():  # an accident
        for pid in slurm.pids(tasks[0]):
            os.kill(pid, 9)

    def end_of_time():  # what --signal does: the program is told, the shell is not
        slurm.command("scancel", "--signal=TERM", tasks[1])

    def requeue():  # an operator, a preemption: the whole job is told
        slurm.command("scontrol", "requeue", tasks[2])

    stop = dict(enumerate([kill, end_of_time, requeue]))
    while stop:
        begun = wait_for(lambda: [i for i in stop if (workdir / f"shard_000{i}_of_0003" / "metrics.jsonl").exists()])
        for i in begun:
            stop.pop(i)()

    local = python("launch.main", f"--workdir={tmp_path}/local", *sweep)  # while the tasks wait in the queue
    assert local.returncode == 0, local.stderr
    wait_for(lambda: [slurm.show(task)[0] for task in tasks] == ["COMPLETED"] * 3)
    logs = [(workdir / "slurm" / f"{job}_{i}_0_log.out").read_text() for i in range(3)]
    assert [slurm.show(task)[1] for task in tasks] == [1, 1, 1], logs
    for log in logs:
        assert re.search(r"holds [1-3] complete generations: going on from there", log), log
    assert "status 137: queueing again" in logs[0]
    assert re.search(r"status (75|143): queueing again", logs[1])
    assert "queueing again" not in logs[2]  # Slurm does it
    assert sum("report: " in log for log in logs) >= 1
    assert len(table(workdir)) == 4 * 3
    assert table(workdir) == table(tmp_path / "local")


@pytest.mark.slow
@pytest.mark.skipif(bool(skip_reason()), reason=skip_reason())
def test_what_its_user_cancels_is_gone(cluster, tmp_path):
    slurm = Jobs(cluster)
    program = f"trap 'sleep 1; exit 75' TERM; touch {tmp_path}/began; while :; do sleep 0.1; done"
    script = python("launch.slurm", PRESET, f"--workdir={tmp_path}/run", "--dry_run").stdout
    ours = [line if not line.startswith("srun") else f'srun bash -c "{program}"' for line in script.splitlines()]
    (tmp_path / "run" / "slurm").mkdir(parents=True)
    (tmp_path / "script.sh").write_text("\n".join(ours))
    job = slurm.command("sbatch", "--parsable", tmp_path / "script.sh").strip()
    wait_for((tmp_path / "began").exists)
    slurm.command("scancel", job)
    wait_for(lambda: job not in slurm.command("squeue", "--noheader"))
    assert slurm.show(job)[:2] == ("CANCELLED", 0)
