"""Whatever is at the other end of standard error and standard output, and whoever leaves."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES = b"(not False)\n" * 200_000  # more than any buffer holds
RUN = ["launch.main", "--config=launch/presets/smoke.py", "--config.sweep.cycles=full"]
RUN += ["--config.sweep.fresh_ratios=0.0", "--cpu_devices=2", "--save_minutes=0"]


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", *args]


def shell(line: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    line = line.replace("python", sys.executable)
    where = {**os.environ, **environment}
    return subprocess.run(["sh", "-c", line], input=stdin, capture_output=True, cwd=ROOT, timeout=1_200, env=where)


@pytest.mark.parametrize("lines", [LINES, b"True\n"], ids=["long", "short"])
def test_standard_output_that_is_full_is_one_line(lines):
    done = shell("python -m logic.verify >/dev/full", lines)
    assert done.returncode == 74
    assert done.stderr == b"logic.verify: standard output cannot be written: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_standard_error_changes_no_status(where, tmp_path):
    assert shell(f"python -m logic.verify none.txt {where}").returncode == 2
    out = tmp_path / "out"
    assert shell(f"python -m eval.diversity lines {where} >{out}", b"").returncode == 2
    file = tmp_path / "lines"
    file.write_bytes(b"True\n")
    assert shell(f"python -m logic.verify {file} {where} >{out}").returncode == 0
    assert out.read_bytes().endswith(b"True,1,1,0\n")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_output_in_any_encoding(encoding):
    done = shell("python -m eval.report --help", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert ("\\u2026" in text) == (encoding != "utf-8") and ("…" in text) == (encoding == "utf-8")


@pytest.mark.slow
def test_help_survives_an_interpreter_without_docstrings():
    done = shell("python -OO -m logic.verify --help")
    assert done.stdout == shell("python -m logic.verify --help").stdout != b""


def said(workdir: Path) -> str:
    log = workdir / "log.txt"
    return log.read_text() if log.exists() else ""


def wait_for(words: str, workdir: Path, process: subprocess.Popen) -> None:
    for _ in range(12_000):
        if words in said(workdir):
            return
        assert process.poll() is None, said(workdir)
        time.sleep(0.01)
    raise TimeoutError(said(workdir))


@pytest.mark.slow
def test_a_run_outlives_the_reader_of_its_messages(tmp_path):
    """Ctrl-C reaches `| tee` as well, which dies first; then a terminal that closes, and a log on a full disk."""
    workdir = tmp_path / "run"
    run = command(*RUN, f"--workdir={workdir}", "--config.loop.generations=40")
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT) as process:
        wait_for("step 10/20", workdir, process)
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 75
    assert "everything is saved" in said(workdir)

    rows = len((workdir / "metrics.jsonl").read_text().splitlines()) if (workdir / "metrics.jsonl").exists() else 0
    ours, theirs = pty.openpty()
    with subprocess.Popen(run, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True) as process:
        os.close(theirs)
        wait_for(f"generation {rows + 2}/40", workdir, process)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        wait_for("SIGHUP: the terminal has gone", workdir, process)
        wait_for(f"generation {rows + 4}/40", workdir, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 75


@pytest.mark.slow
def test_a_log_that_cannot_be_written_ends_no_run(tmp_path):
    workdir = tmp_path / "run"
    with (tmp_path / "errors").open("w") as errors:
        run = command(*RUN, f"--workdir={workdir}", "--config.loop.generations=1")
        with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT) as process:
            wait_for("1 cells", workdir, process)
            process.terminate()
            process.wait(120)
        (workdir / "log.txt").unlink()
        (workdir / "log.txt").symlink_to("/dev/full")
        done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, timeout=1_200)
    assert done.returncode == 0 and "report: " in done.stdout
    noted = [line for line in done.stderr.splitlines() if "cannot be written" in line]
    assert noted == [f"{workdir}/log.txt cannot be written (No space left on device): the run goes on without it"]
    (row,) = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    assert row["steps"] == 20
