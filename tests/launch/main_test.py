"""The launcher as its users meet it: a process."""

import csv
import itertools
import json
import os
import shutil
import subprocess
import sys

import pytest

from loop.storage.run_directory import RunDirectory
from tests import commands
from tests.compilation import CHEAP

pytestmark = pytest.mark.slow

PRESET = "--config=launch/presets/smoke.py"


def launch(*flags, pictures=False, **environment):
    cache = f"--compilation_cache={os.environ['JAX_COMPILATION_CACHE_DIR']}"  # of the whole session (conftest.py)
    if not environment:
        return commands.run("launch.main", cache, *flags, pictures=pictures)
    command = [sys.executable, "-m", "launch.main", cache, *flags]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def rows(workdir):
    """The metrics, without times."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{name: x for name, x in json.loads(line).items() if "seconds" not in name} for line in lines]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("main") / "run"
    flags = f"--workdir={workdir}", "--config.loop.generations=2", "--config.sweep.cycles=full"
    return workdir, launch(PRESET, *flags, pictures=True)


def test_a_run_ends_with_findings_and_a_report(finished):
    workdir, result = finished
    assert result.returncode == 0, result.stderr
    assert f"report: {workdir}/report/index.html" in result.stdout
    assert "diversity" in result.stdout
    assert "generation 2/2, step 20/20" in result.stderr
    names = {p.name for p in workdir.iterdir()}
    assert names >= {"config.json", "metrics.csv", "metrics.jsonl", "checkpoints", "samples", "report", "log.txt"}
    config = json.loads((workdir / "config.json").read_text())
    assert config["config"]["loop"]["generations"] == 2
    assert config["packages"]["jax"]
    assert "generation 2/2" in (workdir / "log.txt").read_text()
    pictures = [*(workdir / "report").glob("*.png"), *(workdir / "report").glob("*.svg")]
    assert pictures and all(path.stat().st_size > 5_000 for path in pictures)


def test_the_same_command_again_does_nothing_but_the_report(finished):
    workdir, _ = finished
    before = (workdir / "metrics.csv").read_bytes()
    result = launch(PRESET, f"--workdir={workdir}", "--config.loop.generations=2", "--config.sweep.cycles=full")
    assert result.returncode == 0, result.stderr
    assert "generation 1/2" not in result.stderr
    assert (workdir / "metrics.csv").read_bytes() == before


def test_another_configuration_is_refused_with_the_fields(finished):
    workdir, _ = finished
    flags = [PRESET, f"--workdir={workdir}", "--config.loop.generations=2", "--config.sweep.cycles=full"]
    for more in (["--config.train.max_steps=40"], ["--config.sweep.seeds=0,1", "--config.loop.generations=3"]):
        result = launch(*flags, *more)
        assert result.returncode == 2
        assert " there, " in result.stderr and len(result.stderr.splitlines()) == 1
        assert "more loop.generations extend a run" in result.stderr and "eval.report" in result.stderr
    shorter = launch(*flags, "--config.loop.generations=1")
    assert shorter.returncode == 2 and len(shorter.stderr.splitlines()) == 1
    assert "loop.generations = 2 there, 1 here: a run can be extended and not shortened" in shorter.stderr
    assert len(rows(workdir)) == 4


def test_more_generations_extend_a_run(tmp_path):
    """The same as in one go, of a set that grows as well, whose arrays are larger then."""
    flags = [PRESET, "--config.sweep.cycles=expanding", "--config.sweep.fresh_ratios=0.25"]
    for generations in (1, 3):
        result = launch(*flags, f"--workdir={tmp_path}/longer", f"--config.loop.generations={generations}")
        assert result.returncode == 0, result.stderr
    assert "holds 1 complete generations: going on from there" in result.stderr
    assert launch(*flags, f"--workdir={tmp_path}/whole", "--config.loop.generations=3").returncode == 0
    assert rows(tmp_path / "longer") == rows(tmp_path / "whole")
    record, whole = (json.loads((tmp_path / run / "config.json").read_text()) for run in ("longer", "whole"))
    assert record["config"] == whole["config"] and "extended" not in whole
    assert [(entry["from"], entry["to"]) for entry in record["extended"]] == [(1, 3)]
    assert record["extended"][0]["packages"] == whole["packages"]


def test_the_environment_changes_no_result(finished, tmp_path):
    refused = {"JAX_ENABLE_X64": "1", "JAX_DEBUG_INFS": "1", "JAX_DEBUG_NANS": "1"}
    refused["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
    silent = {"JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_NUMPY_RANK_PROMOTION": "raise", "PYTHONHASHSEED": "7"}
    silent |= {"XLA_FLAGS": f"--xla_force_host_platform_device_count=8 {CHEAP}", "OMP_NUM_THREADS": "1"}
    flags = [PRESET, f"--workdir={tmp_path}/run", "--config.loop.generations=2", "--config.sweep.cycles=full"]
    result = launch(*flags, **refused, **silent)
    assert result.returncode == 0, result.stderr
    told = result.stderr.splitlines()[0]
    assert all(name in told for name in refused) and not any(name in told for name in silent)
    assert rows(tmp_path / "run") == rows(finished[0])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["random_keys"] == "threefry2x32"


WRONG = [
    ([PRESET, "--config.model.widht=32"], "widht"),
    ([PRESET, "--config.model.width=wide"], "width"),
    ([PRESET, "--config.sweep.cycles=ful"], "did you mean full?"),
    ([PRESET, "--config.sweep.fresh_ratios=1.5"], "1.5"),
    ([PRESET, "--config.sweep.seeds=0,x"], "sweep.seeds"),
    ([PRESET, "--config.language.min_depth=4"], "min_depth"),
    ([PRESET, "--config.loop.num_examples=0"], "loop.num_examples = 0"),
    ([PRESET, "--wrkdir=x"], "wrkdir"),
    ([PRESET, "extra"], "extra"),
    (["--config=launch/presets/none.py"], "none.py"),
    ([], "--config"),
]


@pytest.mark.parametrize(("flags", "named"), WRONG)
def test_a_mistake_gets_one_line_and_touches_nothing(flags, named, tmp_path):
    result = launch(f"--workdir={tmp_path}/run", *flags)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert named in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        ([], {"JAX_PLATFORMS": "nothing"}, "JAX_PLATFORMS=nothing finds no devices"),
        (["--workdir=gs://bucket/run"], {}, "gs://bucket/run needs it"),
        (["--workdir=http://host/run"], {}, "allowed are paths"),
    ],
)
def test_what_is_not_here_is_one_line(flags, environment, named, tmp_path):
    result = launch(PRESET, f"--workdir={tmp_path}/run", *flags, **environment)
    assert result.returncode == 2 and named in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_workdir_in_use_is_left_with_one_line(finished):
    workdir, _ = finished
    files = {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.name != ".lock"}
    with RunDirectory(workdir).lock():
        result = launch(PRESET, f"--workdir={workdir}", "--config.loop.generations=2", "--config.sweep.cycles=full")
    assert result.returncode == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"--workdir {workdir} is in use by process {os.getpid()} on " in result.stderr
    assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.name != ".lock"} == files


def test_a_full_disk_ends_with_one_line_and_goes_on(finished, tmp_path):
    disk, (whole, _) = tmp_path / "disk", finished
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=150k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs is not allowed here")
    flags = [PRESET, f"--workdir={disk}/run", "--config.loop.generations=2", "--config.sweep.cycles=full"]
    try:
        full = launch(*flags)
        assert full.returncode == 74 and "Traceback" not in full.stderr
        assert "the disk is full; make space" in full.stderr.splitlines()[-1]
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        assert launch(*flags).returncode == 0
        assert rows(disk / "run") == rows(whole)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_foreign_or_unwritable_workdir_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    foreign = launch(PRESET, f"--workdir={tmp_path}")
    assert (foreign.returncode, len(foreign.stderr.splitlines())) == (2, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    unwritable = launch(PRESET, f"--workdir={tmp_path}/thesis.tex/run")
    assert (unwritable.returncode, len(unwritable.stderr.splitlines())) == (2, 1)
    missing = launch(PRESET)
    assert missing.returncode == 2
    assert "--workdir" in missing.stderr


def test_help_lists_flags_and_presets():
    result = launch("--help")
    assert result.returncode == 0
    for word in ("--config", "--workdir", "smoke.py", "demo.py", "paper.py"):
        assert word in result.stdout


def test_a_sweep_in_which_every_loss_is_infinite_says_so(tmp_path):
    flags = ["--config.train.learning_rate=1e30", "--config.train.grad_clip=1e30", "--config.sweep.cycles=full"]
    result = launch(PRESET, f"--workdir={tmp_path}/run", *flags)
    assert result.returncode == 1
    assert "full_fresh0_seed0 ended in generation 0: loss not finite at step" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_setting_without_results_leaves_the_others_their_report(tmp_path):
    flags = ["--config.sweep.axes=('train.learning_rate',(1e-3,1e30))", "--config.train.grad_clip=1e30"]
    flags += ["--config.sweep.cycles=full", "--config.sweep.fresh_ratios=0.0", "--config.loop.generations=1"]
    result = launch(PRESET, f"--workdir={tmp_path}/run", *flags)
    assert result.returncode == 0, result.stderr
    assert "train.learning_rate=1e+30: full_fresh0_seed0 ended in generation 0: loss not finite" in result.stderr
    assert "train.learning_rate=0.001" in result.stdout and "train.learning_rate=1e+30" not in result.stdout
    assert "1e+30" not in (tmp_path / "run" / "report" / "summary_groups.csv").read_text()


def test_axes_run_in_one_directory_and_one_report(tmp_path):
    """Two programs, of two settings each: those that differ in temperature alone run side by side."""
    axes = "(('model.width',(16,32)),('sample.temperature',(0.6,0.8)))"
    flags = [f"--config.sweep.axes={axes}", "--config.loop.generations=2"]
    flags += ["--config.sweep.cycles=full", "--config.sweep.fresh_ratios=0.0", f"--workdir={tmp_path}/run"]
    result = launch(PRESET, *flags)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "run" / "metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    found = [(r["model.width"], r["sample.temperature"], r["generation"]) for r in rows]
    assert found == list(itertools.product(("16", "32"), ("0.6", "0.8"), "01"))
    assert len({r["train_loss"] for r in rows if r["generation"] == "1"}) == 4
    assert len({(r["model.width"], r["train_loss"]) for r in rows if r["generation"] == "0"}) == 2
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "model.width=16" in page
    assert "model.width=32" in page
    again = launch(PRESET, *flags)
    assert "step" not in again.stderr
    assert again.returncode == 0
