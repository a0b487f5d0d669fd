"""Which disk is full, where an error does not say it: writes to open files name no file."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_LITTLE = 1 << 20  # bytes: with fewer a disk counts as full


def full_place(workdir: Path) -> str:
    """For a message: the directory for temporary files if that is full and the run's is not, else the run's."""
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:  # not even a small file could be written there
        temporary = os.environ.get("TMPDIR", "/tmp")
    if _is_full(Path(temporary)) and not _is_full(workdir):
        return f"{temporary}, for temporary files (TMPDIR)"
    return f"--workdir {workdir}"


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path).free < _LITTLE
    except OSError:
        return False
