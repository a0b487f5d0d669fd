"""Several processes as one program, on this machine, connected by gloo."""

import functools
import os
import signal
import socket
import time
from collections.abc import Callable

import jax
import numpy as np
import pytest

from launch.cluster.distributed import several_started
from loop.cell import Cell
from loop.examples import Examples
from loop.outcome import Outcome, _pack, _unpack
from loop.storage.checkpoints import Checkpoint
from loop.storage.run_directory import RunDirectory
from tests import commands

pytestmark = pytest.mark.slow

COSTS = ("train_seconds", "sample_seconds")
SMOKE = ["--config=launch/presets/smoke.py", "--config.sweep.cycles=full,fresh", "--config.loop.generations=2"]
REMEDIES = ["--config.sweep.remedies=none,surplexity|guided(weight=2)|edit(threshold=0.1)"]
SETTINGS = ("sample.temperature=0.8", "sample.temperature=1.2")  # side by side
AXES = ["--config.sweep.axes=('sample.temperature',(0.8,1.2))"]
LONG = ["--config=launch/presets/smoke.py", "--config.sweep.cycles=full", "--config.loop.generations=2"]
LONG += ["--config.train.max_steps=600", "--config.train.min_learning_rate=1e-4"]


@pytest.fixture(scope="module")
def cache():
    return os.environ["JAX_COMPILATION_CACHE_DIR"]  # of the whole session (conftest.py)


def start(workdir, cache, flags, count):
    """The processes of a run on two devices."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    flags = [f"--workdir={workdir}", f"--compilation_cache={cache}", *flags, f"--cpu_devices={2 // count}"]
    told = [f"--coordinator=127.0.0.1:{port}", f"--num_processes={count}"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return [
        commands.Started("launch.main", *flags, *([*told, f"--process_id={i}"] if count > 1 else []), env=env)
        for i in range(count)
    ]


def finish(processes, seconds=1_200):
    """(status, stdout, stderr) of each."""
    try:
        return [(*reversed(p.communicate(timeout=seconds)), p.returncode)[::-1] for p in processes]
    finally:
        for p in processes:
            p.kill()


def complete(workdir, cache, flags, count=1):
    ends = finish(start(workdir, cache, flags, count))
    assert [status for status, *_ in ends] == [0] * count, [err[-2000:] for *_, err in ends]
    return RunDirectory(workdir), ends


def log_of(workdir):
    return (workdir / "log.txt").read_text() if (workdir / "log.txt").exists() else ""


def wait_for(workdir, text, before, seconds=1_200):
    """Until the run has logged the text, behind the part of the log that was there before."""
    end = time.monotonic() + seconds
    while text not in log_of(workdir)[before:]:
        assert time.monotonic() < end, f"no {text!r}"
        time.sleep(0.02)


def check_equal(ours: RunDirectory, one: RunDirectory) -> None:
    """With as many devices, cells give the same bits, whatever processes these belong to."""
    rows, expected = ours.rows(), one.rows()
    assert rows and len(rows) == len(expected)
    for a, b in zip(rows, expected, strict=True):
        assert list(a) == list(b)
        assert {k: a[k] for k in a if k not in COSTS} == {k: b[k] for k in b if k not in COSTS}
    assert ours.checkpoints() == one.checkpoints()
    for row in expected:
        cell, t = Cell.of(row), row["generation"]
        mine, theirs = ours.load(cell, t), one.load(cell, t)
        jax.tree.map(np.testing.assert_array_equal, mine.params, theirs.params)
        assert mine.training_set.expressions == theirs.training_set.expressions
        np.testing.assert_array_equal(mine.held_out_nll, theirs.held_out_nll)
        assert ours.read_samples(cell, t).expressions == one.read_samples(cell, t).expressions
        assert ours.read_anatomy(t) == one.read_anatomy(t)
        np.testing.assert_array_equal(ours.read_curves(t)[cell], one.read_curves(t)[cell])


@pytest.fixture(scope="module")
def one(tmp_path_factory, cache):
    return complete(tmp_path_factory.mktemp("one") / "run", cache, [*SMOKE, *REMEDIES, *AXES])[0]


def test_two_processes_write_what_one_does(one, tmp_path, cache):
    # XLA knows the flags that --deterministic gives it, in every process; on a CPU they change nothing.
    flags = [*SMOKE, *REMEDIES, *AXES, "--deterministic", "--save_minutes=0"]  # states of both settings at once
    two, ((_, out, _), (_, other_out, other_err)) = complete(tmp_path / "run", cache, flags, count=2)
    for name in SETTINGS:
        check_equal(two.setting(name), one.setting(name))
        assert max(row["examples_edited"] for row in two.setting(name).rows()) > 0
    assert "report: " in out and (tmp_path / "run" / "report" / "index.html").exists()
    assert other_out == "" and "[Gloo]" not in out
    assert [line for line in other_err.splitlines() if not line.startswith("[Gloo]")] == []
    assert "2 x cpu" in two.log.read_text()


def stop_each(processes):
    """Preempted: each ends with the status that says so, and its state is saved."""
    processes[-1].send_signal(signal.SIGTERM)
    ends = finish(processes)
    assert [status for status, *_ in ends] == [75] * len(ends), [err[-2000:] for *_, err in ends]


def kill_one(processes, victim):
    """The other one says so, and ends."""
    processes[victim].kill()
    status, _, err = finish([processes[1 - victim]])[0]
    assert status in ((76,) if victim else (76, -signal.SIGABRT)) and "Traceback" not in err
    assert "gone: give the same command again" in err or "another task died" in err
    finish(processes)


def test_one_and_two_take_turns_and_are_stopped_and_killed(tmp_path, cache):
    """In the first generation one cell works for both, but there is one of each process then."""
    workdir = tmp_path / "run"
    turns: list[tuple[str, int, Callable]] = [
        ("1/2, step 20/", 1, stop_each),
        ("1/2, step", 2, functools.partial(kill_one, victim=1)),  # from the state of one
        ("1/2, step", 1, stop_each),
        ("1/2, step", 2, stop_each),
        ("2/2, step 20/", 2, functools.partial(kill_one, victim=0)),  # from the state of two
        ("2/2, step 20/", 1, stop_each),
    ]
    for i, (where, count, end) in enumerate(turns):
        before = len(log_of(workdir))
        processes = start(workdir, cache, LONG, count)
        try:
            wait_for(workdir, f"generation {where}", before)
            end(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert i == 0 or "generation 1/2, step 10/" not in log_of(workdir)[before:]  # it went on from the state
        assert list((workdir / "state").iterdir())
    ours, ((_, _, err), _) = complete(workdir, cache, LONG, count=2)
    assert "generation 2/2, step 10/" not in err
    check_equal(ours, complete(tmp_path / "whole", cache, LONG)[0])


def test_a_cell_can_be_shared_by_two_processes(tmp_path, cache):
    flags = ["--config=launch/presets/smoke.py", "--config.sweep.cycles=fresh", "--config.loop.generations=2"]
    two, _ = complete(tmp_path / "two", cache, [*flags, "--mesh=1x2"], count=2)
    alone, _ = complete(tmp_path / "one", cache, [*flags, "--mesh=1x1"])
    for a, b in zip(two.rows(), alone.rows(), strict=True):
        assert [a["train_loss"], a["validation_loss"]] == pytest.approx(
            [b["train_loss"], b["validation_loss"]], rel=1e-4
        )
        assert a["real_nll"] == pytest.approx(b["real_nll"], rel=1e-3)
        cell, t = Cell.of(a), a["generation"]
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-2, atol=1e-3),
            two.load(cell, t).params,
            alone.load(cell, t).params,
        )


def test_more_processes_than_cells_can_use_are_refused(tmp_path, cache):
    flags = ["--config=launch/presets/smoke.py", "--config.sweep.cycles=fresh", "--mesh=1x1"]
    for status, out, err in finish(start(tmp_path / "run", cache, flags, 2)):
        assert (status, out) == (2, "") and "2 processes, and a mesh of 1x1 devices: start at most 1" in err


@pytest.mark.parametrize(
    "flags",
    [
        ["--num_processes=2"],
        ["--num_processes=2", "--process_id=0", "--coordinator=host"],
        ["--coordinator=a:1", "--process_id=0"],
        ["--distributed=off", "--process_id=1"],
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, tmp_path):
    result = commands.run("launch.main", *SMOKE, f"--workdir={tmp_path}/run", *flags)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and flags[-1].split("=")[0] in result.stderr


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4"}, False),  # sbatch's own shell
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, False),
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
    ],
)
def test_a_cluster_is_seen(environment, several):
    assert several_started(environment) is several


def test_outcomes_survive_the_way_between_processes():
    train = Examples.drawn([b"\x06", b"\x01\x05\x07\x02"], 3)
    cells = [Cell("full", 0.1, 7), Cell("fresh", 1.0, 2, setting="sample.temperature=0.8")]
    sent = {
        cells[0]: Outcome(
            Checkpoint({}, train, {"train_loss": 0.1, "steps": 3}, np.array([1.5, np.inf], np.float32)),
            Examples.written([b"", b"\x06"], 3, train),
            {"syntactic": np.array([False, True])},
            curve=np.array([[10, 1 / 3, np.inf, np.nan]]),
        ),
        cells[1]: Outcome(
            Checkpoint({}, train, {"train_loss": float("nan")}, np.zeros(0, np.float32)),
            Examples.drawn([], 3),
            {},
            "loss not finite at step 7",
        ),
    }
    came = _unpack(_pack(sent), {cell: {"p": 1} for cell in cells})
    for cell in cells:
        assert came[cell].status == sent[cell].status and came[cell].trained.params == {"p": 1}
        assert repr(came[cell].trained.counters) == repr(sent[cell].trained.counters)
        np.testing.assert_array_equal(came[cell].trained.held_out_nll, sent[cell].trained.held_out_nll)
        np.testing.assert_array_equal(came[cell].curve, sent[cell].curve)
        assert came[cell].verdicts.keys() == sent[cell].verdicts.keys()
        for name, verdict in sent[cell].verdicts.items():
            np.testing.assert_array_equal(came[cell].verdicts[name], verdict)
        assert came[cell].samples == sent[cell].samples
        assert came[cell].trained.training_set == sent[cell].trained.training_set
