"""From `ml_collections`, which presets and the command line speak, to the frozen dataclasses used inside."""

import dataclasses
import difflib
import types
import typing
from typing import Any

from ml_collections import config_dict

from loop.config import Config


def defaults() -> config_dict.ConfigDict:
    """The paper's settings; a preset starts from here and changes what it wants."""
    return config_dict.ConfigDict(_to_dict(Config()))


def _to_dict(value: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            result[field.name] = _to_dict(inner)
        else:  # None has no type of its own: the placeholder lets an override be a number
            result[field.name] = config_dict.placeholder(float) if inner is None else inner
    return result


def resolve(given: config_dict.ConfigDict) -> Config:
    """Checks types, names and values. Raises ValueError with the field, its value and what is allowed."""
    return _build(Config, given.to_dict(), "")


def _build(cls: Any, given: Any, path: str) -> Any:
    if not isinstance(given, dict):
        raise ValueError(f"{path} = {given!r}: a group of fields is needed")
    known = typing.get_type_hints(cls)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"{_join(path, name)}: no such field; {hint}{path or 'config'} has {', '.join(known)}")
    values = {}
    for name, value in given.items():
        kind, field = known[name], _join(path, name)
        values[name] = _build(kind, value, field) if dataclasses.is_dataclass(kind) else _convert(kind, value, field)
    return cls(**values)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _convert(kind: Any, value: Any, field: str) -> Any:
    if isinstance(kind, types.UnionType):  # only `X | None` occurs
        return None if value is None else _convert(typing.get_args(kind)[0], value, field)
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        if element is str and isinstance(value, str | tuple | list):  # a,b as well as ('a','b')
            parts = (value,) if isinstance(value, str) else value
            value = tuple(p.strip() for part in parts for p in str(part).split(","))
        if not isinstance(value, tuple | list):
            value = (value,)
        return tuple(_convert(element, v, field) for v in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        names = {int: "an integer", float: "a number", str: "a word", bool: "True or False"}
        raise ValueError(f"{field} = {value!r}: {names[kind]} is needed")
    return value
