"""The launcher as its users meet it: a subprocess."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest

from loop.storage.run_directory import RunDirectory

pytestmark = pytest.mark.slow

PRESET = "--config=launch/presets/smoke.py"


def launch(*flags):
    cache = f"--compilation_cache={os.environ['JAX_COMPILATION_CACHE_DIR']}"  # of the whole session (conftest.py)
    return subprocess.run([sys.executable, "-m", "launch.main", cache, *flags], capture_output=True, text=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("main") / "run"
    return workdir, launch(PRESET, f"--workdir={workdir}", "--config.loop.generations=2", "--config.sweep.cycles=full")


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


def test_the_same_command_again_does_nothing_but_the_report(finished):
    workdir, _ = finished
    before = (workdir / "metrics.csv").read_bytes()
    result = launch(PRESET, f"--workdir={workdir}", "--config.loop.generations=2", "--config.sweep.cycles=full")
    assert result.returncode == 0, result.stderr
    assert "generation 1/2" not in result.stderr
    assert (workdir / "metrics.csv").read_bytes() == before


def test_another_configuration_is_refused_with_the_fields(finished):
    workdir, _ = finished
    result = launch(PRESET, f"--workdir={workdir}", "--config.loop.generations=3", "--config.sweep.cycles=full")
    assert result.returncode == 2
    assert "loop.generations = 2 there, 3 here" in result.stderr
    assert len(result.stderr.splitlines()) == 1


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
        ours, theirs = ((path / "metrics.jsonl").read_text().splitlines() for path in (disk / "run", whole))
        for mine, other in zip(ours, theirs, strict=True):
            a, b = json.loads(mine), json.loads(other)
            assert {k: a[k] for k in a if "seconds" not in k} == {k: b[k] for k in b if "seconds" not in k}
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


def test_axes_run_in_one_directory_and_one_report(tmp_path):
    flags = ["--config.sweep.axes=(('model.width',(16,32)),)", "--config.loop.generations=2"]
    flags += ["--config.sweep.cycles=full", "--config.sweep.fresh_ratios=0.0", f"--workdir={tmp_path}/run"]
    result = launch(PRESET, *flags)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "run" / "metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [(r["generation"], r["model.width"]) for r in rows] == [("0", "16"), ("1", "16"), ("0", "32"), ("1", "32")]
    assert len({r["train_loss"] for r in rows}) == 4
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "model.width=16" in page
    assert "model.width=32" in page
    again = launch(PRESET, *flags)
    assert "step" not in again.stderr
    assert again.returncode == 0
