"""How objects with parameters are spelled: `ngram(order=5)`, and chains of them, `verified|unique(copies=1)`.

An object is a frozen dataclass; a dict has its name and its class. The canonical spelling leaves out what is at its
default and gives the rest in the order of declaration, so that equal objects have one name.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from logic.errors import UsageError

NOTHING = "none"  # a chain of no links
_CALL = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")  # what a text parameter may hold
_EXPECTED = {bool: "True or False", int: "an integer", float: "a number", str: "a word"}


def split(text: str, separator: str) -> list[str]:
    """The parts of a list, without the spaces around them; a separator inside brackets separates nothing."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def parse(text: str, known: Mapping[str, type], field: str) -> Any:
    """The object that is spelled. Raises UsageError, one line that begins with `field`, for anything unknown."""
    text = " ".join(text.split())
    call = _CALL.fullmatch(text)
    if call is None:
        raise UsageError(f"{field} = {text!r}: allowed is a name, or name(parameter=value, …)")
    name, arguments = call.groups()
    if name not in known:
        raise UsageError(f"{field} = {text}: no {name!r}; {_nearest(name, known)}")
    cls = known[name]
    types_of, values = _parameters(cls), {}
    for argument in split(arguments, ",") if arguments and arguments.strip() else []:
        key, equals, value = (part.strip() for part in argument.partition("="))
        if not equals:
            raise UsageError(f"{field} = {text}: {argument!r} is no parameter=value")
        if key not in types_of:
            has = _nearest(key, types_of) if types_of else f"{name} has none"
            raise UsageError(f"{field} = {text}: {name} has no parameter {key!r}; {has}")
        if key in values:
            raise UsageError(f"{field} = {text}: {key} is given twice")
        values[key] = _value(value, types_of[key], f"{field} = {text}: {key} = {value}")
    missing = [f.name for f in dataclasses.fields(cls) if f.name not in values and not _has_default(f)]
    if missing:
        raise UsageError(f"{field} = {text}: {name} needs {', '.join(missing)}")
    try:
        return cls(**values)
    except ValueError as error:  # of its own checks
        raise UsageError(f"{field} = {text}: {error}") from error


def spell(value: Any, known: Mapping[str, type]) -> str:
    """The canonical spelling: `parse` reads it as an equal object."""
    name = next(name for name, cls in known.items() if cls is type(value))
    changed = [
        f"{f.name}={_text(getattr(value, f.name))}"
        for f in dataclasses.fields(value)
        if not (_has_default(f) and _same(getattr(value, f.name), _default(f)))
    ]
    return f"{name}({','.join(changed)})" if changed else name


def parse_chain(text: str, known: Mapping[str, type], field: str) -> tuple[Any, ...]:
    """The objects of a chain, in order; `none` is the empty one."""
    if text.strip() == NOTHING:
        return ()
    links = split(text, "|")
    if NOTHING in links and len(links) > 1:
        raise UsageError(f"{field} = {text}: {NOTHING} stands alone")
    return tuple(parse(link, known, field) for link in links)


def spell_chain(values: Sequence[Any], known: Mapping[str, type]) -> str:
    """The canonical spelling of a chain."""
    return "|".join(spell(value, known) for value in values) or NOTHING


def _nearest(name: str, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}allowed are {', '.join(allowed)}"


def _parameters(cls: type) -> dict[str, Any]:
    types_of = typing.get_type_hints(cls)
    return {f.name: types_of[f.name] for f in dataclasses.fields(cls) if f.init}


def _has_default(field: dataclasses.Field) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _value(text: str, kind: Any, where: str) -> Any:
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if text == "None" and type(None) in kinds:
        return None
    for one in kinds:
        if one is bool and text in ("True", "False", "true", "false"):
            return text in ("True", "true")
        if one is int and re.fullmatch(r"[+-]?\d{1,30}", text):
            return int(text)
        if one is float and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) and math.isfinite(float(text)):
            return float(text)
        if one is str and _WORD.fullmatch(text):
            return text
    raise UsageError(f"{where}: allowed is {' or '.join(_EXPECTED.get(one, 'None') for one in kinds)}")


def _text(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
