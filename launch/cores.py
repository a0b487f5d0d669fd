"""The cores and the open files that this process may use."""

import contextlib
import math
import os
import resource
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_FILES = 8_192  # open ones, at most: macOS refuses more than 10,240
_OWN = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Their number, of which a machine may have more: a scheduler pins a process, a container is given a share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(_CGROUPS, _OWN))))


def allow_files() -> None:
    """Raises the limit of open files, 256 on macOS, as far as the system lets: every cell's samples are a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _quota(cgroups: Path, own: Path) -> float:
    """Cores' time that the process's control groups (Linux, version 2) have in a period; infinite without a limit."""
    try:
        group = own.read_text().strip().rpartition("0::")[2].lstrip("/")
    except OSError:
        return math.inf
    least = math.inf
    for path in [cgroups / group, *(cgroups / group).parents]:
        try:
            quota, period = (path / "cpu.max").read_text().split()
            least = min(least, int(quota) / int(period))
        except (OSError, ValueError):  # none, or `max`
            continue
    return least
