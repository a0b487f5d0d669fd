"""Files that are there whole or not at all, on a local disk; paths of object stores work where they allow it.

A killed program leaves at most hidden files and directories whose names end in `.tmp` or `.gone`; `sweep` removes them.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import unquote

from logic.errors import UsageError

_STORES = ("gs", "s3", "az")  # object stores that etils.epath knows


def locate(path: str | os.PathLike[str]) -> Path:
    """An absolute path; one with a scheme, such as gs://bucket/run, is that of etils.epath, with the same methods.

    Local paths stay with pathlib: epath hides names that end in `~`, and its `stat` fails for users without a name. A
    `~` in front is the home directory, as in a shell, which leaves that of --workdir=~/x to the program.

    Raises UsageError for other schemes than those of `_STORES` and file://, and where there is no such home directory.
    """
    text = os.fspath(path)
    scheme, is_url, rest = text.partition("://")
    if is_url and scheme == "file":
        if not rest.startswith("/"):
            raise UsageError(f"{text}: allowed are file:///DIR, with three slashes, and DIR alone")
        text, is_url = unquote(rest), ""
    if not is_url:
        try:
            return Path(text).expanduser() if text.startswith("~") else Path(text).absolute()  # ./~ is a name
        except RuntimeError as error:
            raise UsageError(f"{text}: {error} Allowed is a path without ~") from None
    if scheme not in _STORES:
        raise UsageError(f"{text}: allowed are paths, file:///DIR, and {', '.join(f'{s}://' for s in _STORES)}")
    from etils import epath

    return cast(Path, epath.Path(path))


def is_local(path: Path) -> bool:
    """Whether the path is on a file system, which has locks and can be flushed."""
    return isinstance(path, Path)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Readers see the old file or the new one, never half of it; once this returns it survives a power failure."""
    data = content.encode() if isinstance(content, str) else content
    if not is_local(path):
        path.write_bytes(data)  # an object store shows an object when it is whole
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # several may write the same
    try:
        with temporary.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)  # on a full disk every byte counts
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Flushes a file's content, or a directory's names, to the disk."""
    if is_local(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def made_locally(directory: Path) -> Iterator[Path]:
    """A place for a library that writes to file systems only: the directory itself, or one that is copied to it."""
    if is_local(directory):
        yield directory
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch) / directory.name
        _copy(Path(scratch) / directory.name, directory)


@contextlib.contextmanager
def read_locally(directory: Path) -> Iterator[Path]:
    """A place for a library that reads from file systems only: the directory itself, or a copy of it."""
    if is_local(directory):
        yield directory
        return
    with tempfile.TemporaryDirectory() as scratch:
        _copy(directory, Path(scratch) / directory.name)
        yield Path(scratch) / directory.name


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_dir():
            _copy(path, target / path.name)
        else:
            (target / path.name).write_bytes(path.read_bytes())


def remove_tree(path: Path) -> None:
    """Removes a directory, which is gone from its place at once; one that is not there is fine."""
    gone = path.with_name(f".{path.name}.gone")
    _rmtree(gone)
    if path.exists():
        path.rename(gone)
        _rmtree(gone)


def sweep(directory: Path) -> None:
    """Removes what a killed program left in a directory: only names that this project gives."""
    if directory.is_dir():
        for path in list(directory.iterdir()):
            left_over = path.name.startswith(".") and path.name.endswith((".tmp", ".gone"))
            if left_over or ".orbax-checkpoint-tmp" in path.name:
                _rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _rmtree(path: Path) -> None:
    if not path.exists():
        return
    if is_local(path):
        shutil.rmtree(path)
    else:
        path.rmtree()  # type: ignore[attr-defined]
