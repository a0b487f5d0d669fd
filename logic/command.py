"""What every command shares: flags, one-line errors, and lines read from a file or standard input.

A command module defines absl flags, a `main(argv)`, and ends with `command.run(main)`. Its docstring is the
text of `--help`. Data goes to standard output, everything else to standard error.

Exit status: 0 done, 2 the user's mistake, 1 a programming error (with its traceback), 130 Ctrl-C,
141 the reader of standard output has gone (`| head`), the last two as the shell counts SIGINT and SIGPIPE.
"""

import contextlib
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NoReturn

from absl import app, flags, logging

CHUNK_LINES = 65_536
_CHUNK_BYTES = 1 << 22  # long lines make shorter chunks

# What moves a terminal's cursor, changes its colours or the direction of writing; a tab and a line feed are harmless.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_HELP = ("--help", "-help", "--helpshort", "-h", "-?", "--helpfull", "-helpfull")

# What absl says of a value of the wrong type -> what a user can act on.
_EXPECTED = {
    r"invalid literal for int\(\).*": "allowed is an integer",
    r"could not convert string to float.*": "allowed is a number",
    r"\('Non-boolean argument to boolean flag.*": "allowed are true and false",
}


class UsageError(ValueError):
    """The user's mistake. The message is one line: the field, its value, and what is allowed."""


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Turns a ValueError raised inside, by the validation of what the user gave, into a `UsageError`."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def printable(text: str) -> str:
    """Text of a model or a file for a terminal: control characters as escapes, such as `\\x1b`."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def run(main: Callable[[list[str]], None]) -> NoReturn:
    """Parses the flags, calls `main` with the remaining arguments (the first is the program) and exits."""

    def flushed(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # at absl's default, libraries tell every step they take
        main(argv)
        sys.stdout.flush()  # here, where a broken pipe can still be caught

    try:
        app.run(flushed, flags_parser=_parse_flags)
    except UsageError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _discard_stdout()
        sys.exit(130)
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(141)
    raise AssertionError("absl.app.run exits")


def read_lines(path: str | None) -> Iterator[list[str]]:
    """Yields the lines of a UTF-8 file, or of standard input if `path` is None or `-`, in chunks.

    A chunk has 1 to `CHUNK_LINES` lines, without their ends. Only a line feed ends a line: `\\r` is white space.
    A last line without one counts. Raises `UsageError` if the file cannot be read or is not UTF-8.
    """
    name = "standard input" if path in (None, "-") else f"file {path!r}"
    number = 1  # of the next line
    try:
        with _open(path) as stream:
            while lines := stream.readlines(_CHUNK_BYTES):
                for i in range(0, len(lines), CHUNK_LINES):
                    chunk = lines[i : i + CHUNK_LINES]
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


def _program() -> str:
    """The command as the user knows it: the module's name under `python -m`, else the script's."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else Path(sys.argv[0]).name


def _fail(message: str) -> NoReturn:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
    print(f"{_program()}: {printable(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)


def _discard_stdout() -> None:
    """Lets the interpreter's last flush go nowhere instead of failing once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse_flags(argv: list[str]) -> list[str]:
    """Parses all flags; returns the program and the other arguments."""
    for arg in argv[1:]:
        if arg == "--":
            break
        if arg in _HELP:
            print(_help(everything=arg.endswith("full")))
            sys.stdout.flush()
            sys.exit(0)
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        raise UsageError(_explain_flag(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        if not _raised_by_parsers(error):
            raise
        raise UsageError(_explain_override(error, argv)) from error
    for name in flags.FLAGS:  # ml_collections tells of an unreadable configuration file at its first use only
        value = flags.FLAGS[name].value
        if type(value).__name__ == "_ErrorConfig":
            raise UsageError(_explain_override(vars(value)["_error"], argv))
    return rest


def _explain_flag(error: flags.Error) -> str:
    """The message of absl, in plain words."""
    message = str(error)
    if isinstance(error, flags.UnrecognizedFlagError):
        return message.replace(" ?", "?") + " (--help lists the flags)"
    flag, in_config_file, trace = message.partition("Error whilst parsing config file:")
    if in_config_file:
        kind, _, text = trace.strip().splitlines()[-1].partition(": ")
        if not kind.endswith(("ValueError", "UsageError")):
            raise error  # a bug in the file, not a value that it refuses
        return flag + text
    for pattern, expected in _EXPECTED.items():
        message = re.sub(pattern, expected, message)
    return message


def _explain_override(error: Exception, argv: list[str]) -> str:
    """What ml_collections raises for `--config=FILE` and `--config.field=value`, in plain words."""
    if isinstance(error, OSError):
        reason = str(error).strip().splitlines()[-1].strip()
        return "cannot read the configuration file: " + re.sub(r"^\[Errno \d+\] ", "", reason)
    text = str(error.args[0] if error.args else error).replace("\\n", "\n").replace("\\", "")
    missing = re.search(r"lookup: ([\w.]+)", text) or re.match(r"['\"]*(\w+)['\"]*(\n|$)", text)
    if missing is None:
        return text
    used = re.compile(rf"--?\w+\.(.*\.)?{re.escape(missing[1])}([.=\[]|$)")
    given = next((arg for arg in argv[1:] if used.match(arg)), missing[1])
    nearest = re.search(r'Did you mean "(\w+)"', text)
    hint = f"; did you mean {nearest[1]!r}?" if nearest else ""
    return f"{given}: the configuration has no such field{hint}"


def _raised_by_parsers(error: BaseException) -> bool:
    """Whether absl or ml_collections refused a value, rather than a user's configuration file failing."""
    modules = {str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)}
    return {module.split(".")[0] for module in modules - {__name__}} <= {"absl", "ml_collections"}


def _help(everything: bool) -> str:
    """The main module's docstring and its own flags, or all flags, with their defaults."""
    doc = (sys.modules["__main__"].__doc__ or "").strip()
    if everything:
        return f"{doc}\n{flags.FLAGS.get_help()}"
    lines = [doc, "", "Flags:"]
    for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0]):
        default = (flag.default_as_str or "...").strip("'")
        lines.append(f"  --[no]{flag.name}" if flag.boolean else f"  --{flag.name}={default}")
        lines.append(textwrap.fill(flag.help or "", 100, initial_indent=" " * 6, subsequent_indent=" " * 6))
    return "\n".join([*lines, "  --help", "      this text; --helpfull adds the flags of the libraries"])
