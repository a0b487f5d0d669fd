"""Commands as their users start them, but forked from a process that has imported what is slow to import.

All else is that of a true start, but that reports have no pictures unless they are wanted (tests/pictures.py). Tests
whose subject is the start itself use `subprocess`.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax

from tests.pictures import leave_out

IMPORTED = (
    *("launch.sweep", "loop.run", "loop.training.ensemble", "eval.measures.generation"),
    *("eval.report.build", "eval.report.charts", "eval.report.figures", "eval.report.theory"),
    *("eval.report.decomposition_figure", "eval.report.response_figure", "eval.mean_field", "scipy.stats"),
    *("orbax.checkpoint", "tensorflow_datasets", "array_record.python.array_record_module"),
)
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(list(IMPORTED))


class Started:
    """`python -m MODULE ARGUMENTS`, with as much of `subprocess.Popen` as tests need."""

    def __init__(
        self,
        module: str,
        *arguments: object,
        stdin: str | bytes = "",
        env: Mapping[str, str] | None = None,
        pictures: bool = False,
    ):
        self._folder = tempfile.TemporaryDirectory(prefix="command-")
        self._files = [Path(self._folder.name) / name for name in ("stdin", "stdout", "stderr")]
        for path in self._files:
            path.touch()
        self._files[0].write_bytes(stdin if isinstance(stdin, bytes) else stdin.encode())
        self.args = [module, *map(str, arguments)]
        environment = dict(os.environ if env is None else env)
        self._process = _server.Process(target=_run, args=(self.args, self._files, environment, pictures))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """As `Popen` has it; None while it runs."""
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """(stdout, stderr) when it has ended. Raises subprocess.TimeoutExpired."""
        self.wait(timeout)
        out, err = (written.decode() for written in self.written())
        return out, err

    def written(self) -> tuple[bytes, bytes]:
        """(stdout, stderr) so far."""
        _, out, err = (path.read_bytes() for path in self._files)
        return out, err

    def wait(self, timeout: float | None = None) -> int | None:
        """The status when it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None and timeout is not None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        if self.returncode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """As SIGKILL does."""
        self.send_signal(signal.SIGKILL)


def run(
    module: str,
    *arguments: object,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    pictures: bool = False,
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run([python, "-m", module, *arguments], input=stdin, env=env, capture_output=True, text=True)`."""
    started = Started(module, *arguments, stdin=stdin, env=env, pictures=pictures)
    out, err = started.communicate()
    assert started.returncode is not None
    return subprocess.CompletedProcess(started.args, started.returncode, out, err)


def _run(args: list[str], files: list[Path], environment: dict[str, str], pictures: bool) -> None:
    for number, path in enumerate(files):
        os.dup2(os.open(path, os.O_APPEND | os.O_WRONLY if number else os.O_RDONLY), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  multiprocessing has closed the one before
    for name in environment:  # what JAX has read when it was imported
        if name.startswith("JAX_") and environment[name] != os.environ.get(name):
            jax.config.update(name.lower(), {"0": False, "1": True}.get(environment[name], environment[name]))
    if not pictures:
        leave_out()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = args
    sys.modules.pop(args[0], None)  # another module has imported it
    try:
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
