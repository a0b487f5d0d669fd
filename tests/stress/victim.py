"""launch.main in a process that kills itself: `python -m tests.stress.victim PATTERN N DELAY FLAGS…`.

SIGKILL comes DELAY seconds after it asks for the N-th file operation on a path that matches PATTERN, or before that
operation when DELAY is 0. N = 0 never kills. Operations of C++ libraries are not seen: a delay reaches into those.
"""

import os
import re
import runpy
import signal
import sys
import threading
from typing import Any

OPERATIONS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}


class Death:
    """An audit hook that counts and kills."""

    def __init__(self, pattern: str, n: int, delay: float):
        self.wanted, self.left, self.delay = re.compile(pattern).search, n, delay

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS and not (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        paths = [os.fspath(a) for a in arguments[:2] if isinstance(a, str | os.PathLike)]
        if any(isinstance(path, str) and self.wanted(path) for path in paths):
            self.left -= 1
            if self.left == 0 and self.delay:
                threading.Timer(self.delay, die).start()
            elif self.left == 0:
                die()


def die() -> None:
    """As the kernel's out-of-memory killer or a power cut would do it."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    where, number, seconds, *flags = sys.argv[1:]
    sys.argv[1:] = flags
    sys.addaudithook(Death(where, int(number), float(seconds)))
    runpy.run_module("launch.main", run_name="__main__", alter_sys=True)
