"""Lines of text from a file or standard input, in chunks."""

import codecs
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from logic.errors import UsageError

CHUNK_LINES = 65_536
_CHUNK_BYTES = 1 << 22  # long lines make shorter chunks


def read_lines(path: str | None) -> Iterator[list[str]]:
    """Yields the lines of a UTF-8 file, or of standard input if `path` is None or `-`, in chunks.

    A chunk has 1 to `CHUNK_LINES` lines, without their ends. Only a line feed ends a line: `\\r` is white space.
    A last line without one counts. A byte order mark at the start is no part of the text.

    Raises `UsageError` if the file cannot be read or is not UTF-8.
    """
    name = "standard input" if path in (None, "-") else f"file {path!r}"
    number = 1  # of the next line
    try:
        with _open(path) as stream:
            while lines := stream.readlines(_CHUNK_BYTES):
                for i in range(0, len(lines), CHUNK_LINES):
                    chunk = lines[i : i + CHUNK_LINES]
                    if number == 1:
                        chunk[0] = chunk[0].removeprefix(codecs.BOM_UTF8)
                    yield _decode(chunk, name, number)
                    number += len(chunk)
    except OSError as error:
        # What the caller does with a chunk is not inside this `try`: a generator sees its own errors only.
        raise UsageError(f"cannot read {name}: {error.strerror or error}") from error


def _open(path: str | None) -> contextlib.AbstractContextManager[IO[bytes]]:
    if path is not None and path != "-":
        return Path(path).open("rb")
    if sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def _decode(lines: list[bytes], name: str, first: int) -> list[str]:
    data = b"".join(lines)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first + data.count(b"\n", 0, error.start)
        byte = data[error.start]
        raise UsageError(f"{name}, line {line}: byte 0x{byte:02x} is not UTF-8 text") from error
    return text.removesuffix("\n").split("\n")
