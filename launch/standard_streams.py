"""Standard output and standard error as every command needs them, whatever is at their other end.

Standard error carries progress and messages: it is best effort. A reader that has gone, a full disk or a closed
descriptor loses what is said, and never ends the program. Standard output carries data: what cannot be written is an
error, which says that it is standard output's. Characters that an encoding does not have are written as escapes.
"""

import io
import os
import sys
from typing import Any

STDOUT = "standard output"  # the file name in its errors


def prepare() -> None:
    """Replaces `sys.stdout` and `sys.stderr` where they are those of the process. To be called before any output."""
    closed = _open_closed()
    if 1 in closed or _is_of_process(sys.stdout, 1):
        sys.stdout = _replaced(sys.stdout, StandardOutput)
    if 2 in closed or _is_of_process(sys.stderr, 2):
        sys.stderr = _replaced(sys.stderr, StandardError)


class StandardOutput(io.FileIO):
    """The descriptor of data: its errors have a name, except that of a reader that has gone."""

    def __init__(self, descriptor: int = 1):
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: Any, /) -> int:
        """Writes, or raises what ends the command."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, STDOUT) from None


class StandardError(io.FileIO):
    """The descriptor of messages: what cannot be written is dropped."""

    def __init__(self, descriptor: int = 2):
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: Any, /) -> int:
        """Writes if that is possible; nobody is told if it is not."""
        try:
            return super().write(data) or len(data)  # None: it would block
        except OSError:
            return len(data)


def _open_closed() -> list[int]:
    """Opens the null device in place of closed descriptors, as under cron: else the next file that is opened becomes
    standard error, and messages of libraries end up in it."""
    closed = []
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            closed.append(descriptor)
    return closed


def _is_of_process(stream: Any, descriptor: int) -> bool:
    """False for the streams of notebooks and tests, which are left alone."""
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == descriptor
    except (OSError, ValueError):
        return False


def _replaced(stream: Any, kind: type[StandardOutput] | type[StandardError]) -> io.TextIOWrapper:
    raw = kind()
    encoding = "utf-8"
    if stream is not None:
        stream.flush()
        encoding = stream.encoding
    at_once = kind is StandardError or raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=at_once
    )
