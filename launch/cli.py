"""What every command shares: flags, help, and one-line errors.

A command module defines absl flags, a `main(argv)`, and ends with `cli.run(main)`. Its docstring is the
text of `--help`. Data goes to standard output, everything else to standard error.

Exit status: 0 done, 2 the user's mistake, 1 a programming error (with its traceback), 74 standard output cannot be
written, 130 Ctrl-C, 141 the reader of standard output has gone (`| head`), the last two as the shell counts SIGINT and
SIGPIPE.
"""

import ast
import contextlib
import dataclasses
import inspect
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn, get_type_hints

from absl import app, flags, logging

from launch import standard_streams
from launch.full import FULL, full_place
from logic.errors import UsageError, printable, usage_errors
from logic.language import Language
from logic.languages import LANGUAGES, language_of

flags.disclaim_key_flags()  # what is defined here belongs to the command, and its help

_HELP = ("--help", "-help", "--helpshort", "-h", "-?", "--helpfull", "-helpfull")

_STORED = (".json", ".yaml", ".yml")  # files that launch/stored_configuration.py reads

# What absl says of a value of the wrong type -> what a user can act on.
_EXPECTED = {
    r"invalid literal for int\(\).*": "allowed is an integer",
    r"could not convert string to float.*": "allowed is a number",
    r"\('Non-boolean argument to boolean flag.*": "allowed are true and false",
}


def define_language() -> None:
    """Defines --language, and a flag for each field of the registered languages: see `language`."""
    flags.DEFINE_enum("language", "boolean", list(LANGUAGES), "The language of the samples.")
    for name, of in _language_fields().items():
        defaults = {field.default for field in of.values()}
        default = defaults.pop() if len(defaults) == 1 else None  # of several, the language's own
        define = flags.DEFINE_bool if {field.type for field in of.values()} == {bool} else flags.DEFINE_integer
        meanings: dict[str, list[str]] = {}
        for language, field in of.items():
            meanings.setdefault(field.meaning, []).append(language)
        told = [
            f"{' and '.join(who)}: {what}" if len(LANGUAGES) > 1 else what for what, who in meanings.items() if what
        ]
        define(name, default, "; ".join(told) + ".")


def language() -> Language:
    """The language that the flags describe. Raises UsageError for values or fields that it does not have."""
    name, values = flags.FLAGS.language, {}
    for field, of in _language_fields().items():
        if flags.FLAGS[field].present:
            if name not in of:
                raise UsageError(f"--{field}: the language {name} has no such field, {' and '.join(of)} has")
            values[field] = flags.FLAGS[field].value
    with usage_errors():
        return language_of({"name": name, **values})


class _Field(NamedTuple):
    type: type
    default: Any
    meaning: str


def _language_fields() -> dict[str, dict[str, _Field]]:
    """Every field of a language, by its name and then by the language."""
    found: dict[str, dict[str, _Field]] = {}
    for language, cls in LANGUAGES.items():
        hints = get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.name != "name":
                one = _Field(hints[field.name], field.default, _comment(cls, field.name))
                found.setdefault(field.name, {})[language] = one
    return found


def _comment(cls: type, field: str) -> str:
    """What the source says of a field, behind it; empty where there is no source."""
    try:
        found = re.search(rf"^ +{field}:.*?# (.*)$", inspect.getsource(cls), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else ""


def run(main: Callable[[list[str]], None]) -> NoReturn:
    """Parses the flags, calls `main` with the remaining arguments (the first is the program) and exits."""

    def flushed(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # at absl's default, libraries tell every step they take
        main(argv)
        sys.stdout.flush()  # here, where a broken pipe can still be caught

    standard_streams.prepare()
    try:
        app.run(flushed, flags_parser=_parse_flags)
    except UsageError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _discard_stdout()
        sys.exit(130)
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(141)
    except OSError as error:
        if error.filename == standard_streams.STDOUT:
            _discard_stdout()
            _fail(f"standard output cannot be written: {error.strerror}", 74)
        if error.errno not in FULL:
            raise
        workdir = flags.FLAGS["workdir"].value if "workdir" in flags.FLAGS else None
        _fail(f"{error.filename or full_place(Path(workdir or '.'))}: {FULL[error.errno]}", 74)
    except ImportError as error:
        if not _raised_by("etils", error):
            raise
        _fail(f"{error}: a path such as gs://bucket/run needs it", 2)
    raise AssertionError("absl.app.run exits")


def _program() -> str:
    """The command as the user knows it: the module's name under `python -m`, else the script's."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name


def _fail(message: str, status: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()
    print(f"{_program()}: {printable(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(status)


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
    argv = [argv[0], *_configuration_files(argv[1:])]
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # beside a preset, which may lie in a run
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        raise UsageError(_explain_flag(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        if not _raised_by_parsers(error):
            raise
        raise UsageError(_explain_override(error, argv)) from error
    finally:
        sys.dont_write_bytecode = before
    for name in flags.FLAGS:  # ml_collections tells of an unreadable configuration file at its first use only
        value = flags.FLAGS[name].value
        if type(value).__name__ == "_ErrorConfig":
            raise UsageError(_explain_override(vars(value)["_error"], argv))
    return rest


def _configuration_files(arguments: list[str]) -> list[str]:
    """The arguments with a preset in place of `--config=FILE` for a file that is none: JSON or YAML."""
    result, words = [], iter(arguments)
    for word in words:
        name, equals, file = word.partition("=")
        if name.lstrip("-") == "config" and name.startswith("-"):
            file = os.path.expanduser(file if equals else next(words, ""))  # noqa: PTH111 (what follows a `:` stays)
            suffix = Path(file).suffix
            if suffix in _STORED:
                file = f"{Path(__file__).parent / 'stored_configuration.py'}:{file}"
            elif Path(file).is_file() and suffix != ".py":
                raise UsageError(f"--config={file}: allowed are presets (.py), a run's config.json, and YAML (.yaml)")
            word = f"{name}={file}"
        result.append(word)
    return result


def _explain_flag(error: flags.Error) -> str:
    """The message of absl, in plain words."""
    message = str(error)
    if isinstance(error, flags.UnrecognizedFlagError):
        return message.replace(" ?", "?") + " (--help lists the flags)"
    flag, in_config_file, trace = message.partition("Error whilst parsing config file:")
    if in_config_file:
        kind, _, text = trace.strip().splitlines()[-1].partition(": ")
        if re.search(r"get_config\(\) (takes 0 positional|missing 1 required)", text):
            takes = "none" if "takes 0" in text else "one"
            return f"{flag}its get_config() takes {takes} of the arguments that --config=FILE:ARGUMENT gives"
        if not kind.endswith(("ValueError", "UsageError")) and not text.startswith("Could not override field"):
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


def _docstring(module: ModuleType) -> str:
    """Of a module, also where `python -OO` has left it out."""
    if module.__doc__ is None and module.__file__:
        return ast.get_docstring(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))) or ""
    return module.__doc__ or ""


def _raised_by(package: str, error: BaseException) -> bool:
    """Whether an error comes out of a package."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).split(".")[0] == package for frame, _ in frames)


def _help(everything: bool) -> str:
    """The main module's docstring and its own flags, or all flags, with their defaults."""
    doc = _docstring(sys.modules["__main__"]).strip()
    if everything:
        return f"{doc}\n{flags.FLAGS.get_help()}"
    lines = [doc, "", "Flags:"]
    for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0]):
        default = (flag.default_as_str or "...").strip("'")
        lines.append(f"  --[no]{flag.name}" if flag.boolean else f"  --{flag.name}={default}")
        lines.append(textwrap.fill(flag.help or "", 100, initial_indent=" " * 6, subsequent_indent=" " * 6))
    return "\n".join([*lines, "  --help", "      this text; --helpfull adds the flags of the libraries"])
