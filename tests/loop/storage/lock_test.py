"""One writer per directory, as several processes see it."""

import os
import re
import signal
import subprocess
import sys

import pytest

from logic.errors import UsageError
from loop.storage.run_directory import RunDirectory

HOLD = """
import sys, time
from loop.storage.run_directory import RunDirectory
from logic.errors import UsageError
directory = RunDirectory(sys.argv[1])
try:
    with directory.lock():
        directory.create({"a": 1}, "test")
        directory.repair()
        print("holds", flush=True)
        time.sleep(float(sys.argv[2]))
except UsageError as error:
    print(error, flush=True)
"""


def hold(path, seconds):
    return subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)


def test_a_second_process_is_told_who_is_there_and_a_dead_one_holds_nothing(tmp_path):
    holder = hold(tmp_path / "run", 60)
    try:
        assert holder.stdout.readline() == "holds\n"
        said = rf"--workdir .*/run is in use by process {holder.pid} on \S+ since \d{{4}}-\d\d-\d\dT"
        with pytest.raises(UsageError, match=said), RunDirectory(tmp_path / "run").lock():
            pytest.fail("two writers")
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with RunDirectory(tmp_path / "run").lock():
        pass


@pytest.mark.slow
def test_of_simultaneous_starts_on_nothing_one_wins(tmp_path):
    processes = [hold(tmp_path / "run", 2) for _ in range(4)]
    said = sorted(process.communicate()[0] for process in processes)
    assert said[-1] == "holds\n"
    assert all(re.search(r"/run is in use by (process \d+ on|another process)", line) for line in said[:-1]), said
    assert RunDirectory(tmp_path / "run").config()["config"] == {"a": 1}


def test_within_a_process_and_after_an_error(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(RuntimeError), directory.lock():
        with pytest.raises(UsageError, match=f"process {os.getpid()} "), RunDirectory(directory.path).lock():
            pytest.fail("two writers")
        raise RuntimeError
    with directory.lock():
        assert (directory.path / ".lock").read_text()
    assert (directory.path / ".lock").read_text() == ""  # nobody


def test_what_is_no_run_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(UsageError, match=r"no run|cannot be written"), RunDirectory(path).lock():
            pytest.fail("not ours")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_system_without_locks_is_worth_a_word(tmp_path, monkeypatch):
    def unsupported(*args):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unsupported)
    warnings: list[str] = []
    with RunDirectory(tmp_path / "run").lock(warnings.append):
        pass
    assert len(warnings) == 1 and "without locks" in warnings[0]
