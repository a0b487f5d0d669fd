"""Faults that are nobody's mistake in the code: one clear line instead of a traceback, and an exit status.

The exit statuses of all commands; those from 64 are of sysexits.h:

    0    done
    1    a programming error, with its traceback; or no cell finished a generation
    2    the user's mistake, or a damaged file, in one line
    69   the device or the machine is out of memory, or the process of files that it may have open (`ulimit -n`)
    74   the disk or standard output is full, or the run's directory is read-only, unreadable or gone
    75   stopped on request, everything is saved: give the same command again to go on
    76   another of several processes is gone; 134 where JAX's own runtime notices it first, and aborts
    130  stopped at once by a second Ctrl-C; what was saved before is not lost
    141  the reader of standard output has gone

After 69, 74 and 76 as well, the same command goes on where the run stopped, once there is space or memory.
"""

import contextlib
import errno
import logging
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from launch.cluster.distributed import LOST
from launch.full import FULL, full_place
from logic.errors import UsageError, printable

OUT_OF_MEMORY, STORAGE, STOPPED = 69, 74, 75

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_MISSED = r"gloo \w+ failed|nccl.*(remote|abort)|coordination service|/job:jax_worker|async_\w+_complete barrier"
_CODES = (*FULL, *_GONE, *_REFUSED)


@contextlib.contextmanager
def known_faults(workdir: Path) -> Iterator[None]:
    """Ends the program with one line and a status for the faults above; everything else passes."""
    undo = _quiet(workdir)
    try:
        yield
    except UsageError:
        undo()
        raise
    except Exception as error:
        found = explain(error, workdir)
        if found is None:
            undo()
            raise
        status, line = found
        print(f"launch.main: {printable(' '.join(line.split()))}", file=sys.stderr)
        sys.exit(status)  # still quiet: threads of orbax may meet the same fault until the very end
    except BaseException:
        undo()
        raise
    else:
        undo()


def _quiet(workdir: Path) -> Callable[[], None]:
    """Leaves out the tracebacks of known faults, which orbax's threads log as well; returns the way back."""

    def is_news(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is None or explain(error, workdir) is None

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not (isinstance(what.exc_value, RuntimeError) and "Event loop is closed" in str(what.exc_value)):
            before(what)  # the loop of a save that failed, to which another of its writers reports

    logger, before = logging.getLogger("absl"), sys.unraisablehook
    logger.addFilter(is_news)
    sys.unraisablehook = unraisable

    def undo() -> None:
        logger.removeFilter(is_news)
        sys.unraisablehook = before

    return undo


def explain(error: BaseException, workdir: Path) -> tuple[int, str] | None:
    """(exit status, what to tell) of a known fault, None for any other error."""
    for cause in _chain(error):
        found = _memory(cause) or _files(cause) or _lost(cause) or _storage(cause, workdir)
        if found is not None:
            return found
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _memory(error: BaseException) -> tuple[int, str] | None:
    text = str(error)
    of_device = type(error).__module__.startswith("jax") and re.search("RESOURCE_EXHAUSTED|out of memory", text, re.I)
    if not of_device and not isinstance(error, MemoryError):
        return None
    size = re.search(r"allocat(?:e|ing) ([\d.]+ ?\w+)", text)
    needed = f" ({size[1]} more were asked for)" if size else ""
    where = "the device" if of_device else "this machine"
    return OUT_OF_MEMORY, (
        f"{where} is out of memory{needed}: give --members=map to take the cells one after another, or lower "
        "train.micro_batch, sample.batch_size, the number of cells, or the model's width and num_layers"
    )


def _files(error: BaseException) -> tuple[int, str] | None:
    """Too many open files: what array_record and tensorstore say of it is a text only."""
    if not isinstance(error, ValueError | RuntimeError | OSError) or "Too many open files" not in str(error):
        return None
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    more = f"raise the limit (ulimit -n {max(4_096, 2 * most)}) or take fewer cells"
    return OUT_OF_MEMORY, f"{most} open files are too few for this sweep: {more}, and give the same command again"


def _lost(error: BaseException) -> tuple[int, str] | None:
    """What the devices' collectives (gloo, NCCL) and JAX's coordination service say when they miss a process."""
    if not isinstance(error, ValueError | RuntimeError | TimeoutError) or not re.search(_MISSED, str(error), re.I):
        return None
    named = re.search(r"/task[:/](\d+)", str(error))
    which = f"process {named[1]}" if named else "another process of this run"
    return LOST, f"{which} is gone: give the same command again, on any number of processes, to go on"


def _storage(error: BaseException, workdir: Path) -> tuple[int, str] | None:
    code, file = _os_error(error)
    if code not in _CODES:
        return None
    ours = file is None or str(workdir) in file  # tensorstore quotes paths within a longer text
    run = f"--workdir {workdir}"
    again = "the same command then goes on where the run stopped"
    if code in FULL:
        where = (run if file else full_place(workdir)) if ours else file
        return STORAGE, f"{where}: {FULL[code]}; make space, and {again}"
    if file is None and "No usable temporary directory" in str(error):
        return STORAGE, f"{error} (TMPDIR): make space there, and {again}"
    if not ours:
        return None
    if not workdir.exists():
        return STORAGE, f"{run} has gone while the run was writing to it; once it is back, {again}"
    name = f", file {file}" if file and isinstance(error, OSError) else ""
    return STORAGE, f"{run} cannot be used any more: {os.strerror(code)}{name}; once that is mended, {again}"


def _os_error(error: BaseException) -> tuple[int | None, str | None]:
    """The error number, and the file or a text with it. Writers in C++ tell only by their text."""
    if isinstance(error, OSError) and error.errno is not None:
        names = [os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, str | bytes)]
        return error.errno, names[0] if names else None
    if not isinstance(error, ValueError | RuntimeError):  # tensorstore; array_record
        return None, None
    text = str(error)
    number = re.search(r"os_error_code='(\d+)'", text)
    if number:
        return int(number[1]), text
    return next((code for code in _CODES if os.strerror(code) in text), None), text
