"""The cores, the memory and the open files that this process may use."""

import contextlib
import math
import os
import resource
from collections.abc import Callable
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_FILES = 8_192  # open ones, at most: macOS refuses more than 10,240
_OWN = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Their number, of which a machine may have more: a scheduler pins a process, a container is given a share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _limit("cpu.max", _share, _CGROUPS, _OWN))))


def available_memory() -> int:
    """Bytes, of which a machine may have more: a scheduler's job and a container have limits of their own."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(installed, _limit("memory.max", float, _CGROUPS, _OWN)))


def allow_files() -> None:
    """Raises the limit of open files, 256 on macOS, as far as the system lets: every cell's samples are a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _share(text: str) -> float:
    """Cores, of a quota of their time in a period; fails for `max`."""
    quota, period = text.split()
    return int(quota) / int(period)


def _limit(file: str, read: Callable[[str], float], cgroups: Path, own: Path) -> float:
    """The least limit of the process's control groups (Linux, version 2); infinite without one."""
    try:
        group = own.read_text().strip().rpartition("0::")[2].lstrip("/")
    except OSError:
        return math.inf
    least = math.inf
    for path in [cgroups / group, *(cgroups / group).parents]:
        try:
            least = min(least, read((path / file).read_text()))
        except (OSError, ValueError):  # none, or `max`
            continue
    return least
