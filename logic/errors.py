"""Errors that are the user's, and text of models and files made printable."""

import contextlib
import re
from collections.abc import Iterator

# What moves a terminal's cursor, changes its colours or the direction of writing; a tab and a line feed are harmless.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


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
