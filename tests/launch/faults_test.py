"""Known faults end with one line and their status; everything else keeps its traceback."""

import contextlib
import errno
import logging
import os
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch import faults
from launch.faults import explain, known_faults
from logic.boolean.language import Boolean
from logic.errors import UsageError
from loop.cell import Cell
from loop.examples import Examples
from loop.storage.checkpoints import Checkpoint
from loop.storage.run_directory import RunDirectory

CELL = Cell("full", 0.0, 0)
HOOK = sys.unraisablehook


@pytest.fixture(autouse=True)
def as_in_a_new_process(monkeypatch):
    """A known fault ends the process, and leaves its filter until then."""
    monkeypatch.setattr(logging.getLogger("absl"), "filters", [])
    monkeypatch.setattr(sys, "unraisablehook", HOOK)


def told(error, workdir) -> tuple[int, str]:
    found = explain(error, workdir)
    assert found is not None
    return found


def of(path, code):
    return OSError(code, os.strerror(code), str(path))


def tensorstore_says(path, code):
    return ValueError(
        f'RESOURCE_EXHAUSTED: Error writing "a/0" in OCDBT database at local file "{path}/state/1/": Failed to write '
        f"305176 bytes to file 11: {os.strerror(code)} [os_error_code='{code}']"
    )


def array_record_says(path, code):
    return RuntimeError(f"write() failed: {os.strerror(code)}; writing {path}/samples/.x.tmp/s.array_record; at byte 9")


@pytest.mark.parametrize("says", [of, tensorstore_says, array_record_says])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "Read-only file system"),
        (errno.EACCES, "Permission denied"),
        (errno.EIO, "Input/output error"),
        (errno.ESTALE, "Stale file handle"),
    ],
)
def test_storage_faults_of_all_writers(tmp_path, says, code, words):
    status, line = told(says(tmp_path, code), tmp_path)
    assert status == faults.STORAGE == 74
    assert words in line and f"--workdir {tmp_path}" in line and "goes on where the run stopped" in line


@pytest.mark.parametrize("says", [of, tensorstore_says, array_record_says])
def test_too_few_open_files_name_the_limit(tmp_path, says):
    status, line = told(says(tmp_path, errno.EMFILE), tmp_path)
    assert status == 69 and "ulimit -n" in line


def test_a_full_disk_that_is_not_the_runs_is_named(tmp_path, monkeypatch):
    """Writing to an open file names none in its error."""
    nameless = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert told(nameless, tmp_path)[1].startswith(f"--workdir {tmp_path}: the disk is full")
    other = tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(other))
    monkeypatch.setattr("launch.full._is_full", lambda path: path == other)
    assert told(nameless, tmp_path)[1].startswith(f"{other}, for temporary files (TMPDIR): the disk is full")


def test_a_vanished_directory_is_told_from_a_missing_file(tmp_path):
    gone = tmp_path / "gone"
    assert "has gone" in told(of(gone / "log.txt", errno.ENOENT), gone)[1]
    assert "No such file" in told(of(tmp_path / "log.txt", errno.ENOENT), tmp_path)[1]
    assert explain(of("/elsewhere/file", errno.ENOENT), tmp_path) is None  # a bug: the traceback helps
    assert "/elsewhere" in told(of("/elsewhere/file", errno.ENOSPC), tmp_path)[1]  # such as the compilation cache


@pytest.mark.parametrize(
    "error",
    [
        ValueError("RESOURCE_EXHAUSTED by a person"),
        RuntimeError("odd"),
        KeyError("x"),
        OSError("no number"),
        IndexError(),
    ],
)
def test_other_errors_pass(tmp_path, error):
    assert explain(error, tmp_path) is None
    with pytest.raises(type(error)), known_faults(tmp_path):
        raise error


def test_usage_errors_keep_their_status(tmp_path):
    with pytest.raises(UsageError), known_faults(tmp_path):
        raise UsageError("No space left on device")


def test_the_cause_counts(tmp_path):
    error = RuntimeError("the background failed")
    error.__cause__ = of(tmp_path, errno.ENOSPC)
    assert told(error, tmp_path)[0] == 74


def test_memory_that_no_device_has(tmp_path):
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        # More than can be addressed: some systems promise 32 TiB.
        jnp.zeros((1 << 57,), np.uint8).block_until_ready()
    status, line = told(caught.value, tmp_path)
    assert status == faults.OUT_OF_MEMORY == 69
    assert "the device is out of memory" in line and f"{1 << 57} bytes" in line
    for what in ("--members", "train.micro_batch", "sample.batch_size", "width"):
        assert what in line
    with pytest.raises(MemoryError) as host:
        np.zeros(1 << 57)
    assert "this machine is out of memory" in told(host.value, tmp_path)[1]


def test_one_line_and_the_traceback_that_orbax_logs_is_left_out(tmp_path, capsys, caplog):
    logger = logging.getLogger("absl")
    with pytest.raises(SystemExit) as exit, known_faults(tmp_path):
        for error in (of(tmp_path, errno.ENOSPC), ZeroDivisionError("a bug")):
            try:
                raise error
            except Exception:
                logger.exception("in the background")
        raise of("\x1b[31mred", errno.ENOSPC)
    assert exit.value.code == 74
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]
    err = capsys.readouterr().err
    assert err.startswith("launch.main: \\x1b[31mred: the disk is full") and err.count("\n") == 1


def test_what_is_no_known_fault_leaves_logging_as_it_was(tmp_path):
    for error in (UsageError("x"), ZeroDivisionError(), KeyboardInterrupt(), None):
        with contextlib.suppress(UsageError, ZeroDivisionError, KeyboardInterrupt), known_faults(tmp_path):
            if error is not None:
                raise error
        assert not logging.getLogger("absl").filters and sys.unraisablehook is HOOK


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def write_samples(directory):
    expressions = Boolean().sample(60_000, np.random.default_rng(0))
    directory.write_samples(0, {CELL: (expressions, Boolean().verify(expressions))})


def save(directory):
    params = {"x": np.random.default_rng(0).normal(size=100_000)}
    generation = Checkpoint(params, Examples.drawn([b"\x06"], 0), {}, np.zeros(1, np.float32))
    directory.save(0, {Cell("full", 0.0, seed): generation for seed in range(4)})
    directory.wait()


def save_state(directory):
    tree = {"x": np.random.default_rng(0).normal(size=100_000)}
    directory.save_state(0, 1, {Cell("full", 0.0, seed): tree for seed in range(4)})
    directory.wait()


def write_rows(directory):
    directory.write_rows([{**CELL.keys, "generation": 0, "status": "x" * 500_000}])


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_samples, save, save_state, write_rows])
def test_a_full_disk_is_one_line_and_the_directory_goes_on_after_it(small_disk, write, capfd):
    directory = RunDirectory(small_disk / "run")
    with pytest.raises(SystemExit) as exit, known_faults(directory.path), directory.lock():
        directory.create({}, "test")
        write(directory)
    assert exit.value.code == 74
    err = capfd.readouterr().err
    assert "the disk is full" in err and "Traceback" not in err and err.count("\n") == 1
    assert not directory.has_samples(0) and not directory.checkpoints()
    assert directory.load_state(0, pytest.fail) is None and directory.rows() == []
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    again = RunDirectory(directory.path)
    with again.lock():
        # Threads of the save that failed may still be making directories here; the next process has none of them.
        quiet = 0
        for _ in range(300):
            quiet += 1
            with contextlib.suppress(OSError):
                again.repair(pytest.fail)
            if [p for p in again.path.rglob("*") if "tmp" in p.name]:
                quiet = 0
            if quiet == 15:
                break
            time.sleep(0.1)
        assert quiet == 15
        write(again)


def test_a_disk_that_turns_read_only(small_disk, capfd):
    directory = RunDirectory(small_disk / "run")
    with pytest.raises(SystemExit) as exit, known_faults(directory.path), contextlib.ExitStack() as stack:
        stack.enter_context(directory.lock())
        directory.create({}, "test")
        (directory.path / ".lock").unlink()  # it is open for writing, which keeps a disk writable
        stack.close()
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        directory.write_rows([])
    assert exit.value.code == 74 and "Read-only file system" in capfd.readouterr().err


def test_the_table_of_statuses_is_that_of_the_code():
    text = faults.__doc__ or ""
    for status in (0, 1, 2, faults.OUT_OF_MEMORY, faults.STORAGE, faults.STOPPED, 130, 141):
        assert f"\n    {status} " in text


def test_ctrl_c_is_heard_though_nothing_can_be_logged():
    code = """
import os, signal, time
from launch.signals import StopRequests
def full_disk(line):
    raise OSError(28, "No space left on device")
stop = StopRequests(full_disk)
for _ in range(2):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
    assert stop()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (130, "")
