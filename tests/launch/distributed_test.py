"""A process that waits for others says so; the rest is in tests/loop/training/multihost_test.py."""

import socket
import subprocess
import sys

import pytest


@pytest.mark.slow  # it waits for five seconds
def test_who_is_waited_for_is_said_and_how_to_run_alone(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "launch.main", "--config=launch/presets/smoke.py", f"--workdir={tmp_path}/run"]
    command += [f"--coordinator={address}", "--num_processes=3", "--process_id=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
        finally:
            process.kill()
    assert line == "launch.main: waiting for the other 2 of 3 processes; alone: --distributed=off\n"
