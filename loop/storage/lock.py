"""One writer per directory: a lock that the kernel takes back when its process dies, however it dies."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from logic.errors import UsageError

_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def locked(path: Path, who: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of the file, which stays there; its content tells others who holds it.

    Raises UsageError, with `who` in front, if another process (or another descriptor of this one) holds it. A file
    system without locks gives a warning.
    """
    with path.open("a+", encoding="utf-8") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            f.seek(0)
            raise UsageError(f"{who} is in use by {_holder(f.read())}") from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            warn(f"{path.parent} is on a file system without locks: take care that only one process writes there")
        since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        f.truncate(0)
        f.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}) + "\n")
        f.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # of a full or vanished disk; closing gives the lock back anyway
                f.truncate(0)


def _holder(text: str) -> str:
    try:
        record = json.loads(text)
        return f"process {record['process']} on {record['host']} since {record['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # which has not written its name yet
