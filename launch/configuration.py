"""From `ml_collections`, which presets and the command line speak, to the frozen dataclasses used inside."""

import dataclasses
import difflib
import itertools
import math
import types
import typing
from typing import Any

import numpy as np
from ml_collections import config_dict

from logic.language import Language
from logic.languages import LANGUAGES
from loop.config import Config
from loop.spelling import split
from loop.storage.settings import setting_name


def defaults() -> config_dict.ConfigDict:
    """The paper's settings; a preset starts from here and changes what it wants."""
    config = config_dict.ConfigDict()
    for group, fields in _to_dict(Config()).items():
        config[group] = _Group(fields)
    config.model.vocab_size = 0  # that of the language, whichever the preset takes
    return config


class _Group(config_dict.ConfigDict):
    """A group of fields, which takes NumPy's numbers and arrays as well."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, _plain(value))


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's; arrays and ranges as tuples."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | range):
        return tuple(value.tolist() if isinstance(value, np.ndarray) else value)
    return value


def _to_dict(value: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    kinds = typing.get_type_hints(type(value))
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            result[field.name] = _to_dict(inner)
        else:  # None has no type of its own: the placeholder lets an override be a number
            number = int if kinds[field.name] == int | None else float
            result[field.name] = config_dict.placeholder(number) if inner is None else inner
    return result


def resolve(given: config_dict.ConfigDict) -> Config:
    """Checks types, names and values. Raises ValueError with the field, its value and what is allowed."""
    return _build(Config, given.to_dict(), "")


def settings(given: config_dict.ConfigDict) -> dict[str, Config]:
    """The configuration of every combination of `sweep.axes`, by its label; without axes one, labelled ``.

    Raises ValueError like `resolve`, for every combination before any work.
    """
    axes = resolve(given).sweep.axes
    found = {}
    for values in itertools.product(*(values for _, values in axes)):
        fields = given.to_dict()
        fields["sweep"]["axes"] = ()
        for (field, _), value in zip(axes, values, strict=True):
            _set(fields, field, value)
        found[setting_name([field for field, _ in axes], values)] = _build(Config, fields, "")
    return found


def _set(fields: dict[str, Any], field: str, value: Any) -> None:
    group, _, name = field.partition(".")
    known = [f"{g}.{n}" for g, inner in fields.items() for n in inner if g != "sweep"]
    if field not in known:
        near = difflib.get_close_matches(field, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"sweep.axes = {field}: {hint}allowed are the fields of all groups but sweep")
    fields[group][name] = value


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
        if kind is Language:
            kind = _language(value)
        values[name] = _build(kind, value, field) if dataclasses.is_dataclass(kind) else _convert(kind, value, field)
    return cls(**values)


def _language(given: Any) -> type[Language]:
    """The language that a group names; its fields are those of the group."""
    name = given.get("name", "boolean") if isinstance(given, dict) else ""
    if name not in LANGUAGES:
        near = difflib.get_close_matches(str(name), LANGUAGES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"language.name = {name}: {hint}allowed are {', '.join(LANGUAGES)}")
    return LANGUAGES[name]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _convert(kind: Any, value: Any, field: str) -> Any:
    value = _plain(value)
    if isinstance(kind, types.UnionType):  # only `X | None` occurs
        return None if value is None else _convert(typing.get_args(kind)[0], value, field)
    if field == "sweep.axes":
        return _axes(value)
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        if element is str and isinstance(value, str | tuple | list):  # a,b as well as ('a','b')
            parts = (value,) if isinstance(value, str) else value
            value = tuple(p for part in parts for p in split(str(part), ","))  # brackets hold commas of their own
        if not isinstance(value, tuple | list):
            value = (value,)
        return tuple(_convert(element, v, field) for v in value)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(value, float) and math.isinf(value):  # no JSON
        raise ValueError(f"{field} = {value}: allowed are finite numbers; 1e30 is as good as infinite")
    if type(value) is not kind:
        names = {int: "an integer", float: "a number", str: "a word", bool: "True or False"}
        raise ValueError(f"{field} = {value!r}: {names[kind]} is needed")
    return value


def _axes(value: Any) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], str):
        value = (value,)  # one axis needs no tuple around it
    axes = []
    for axis in value if isinstance(value, tuple | list) else (value,):
        if not (isinstance(axis, tuple | list) and len(axis) == 2 and isinstance(axis[0], str)):
            raise ValueError(
                f"sweep.axes = {axis!r}: allowed are pairs of a field and its values: ('model.width', (32, 64))"
            )
        values = tuple(axis[1]) if isinstance(axis[1], tuple | list) else (axis[1],)
        if not values or len(set(map(repr, values))) < len(values):
            raise ValueError(f"sweep.axes = {axis!r}: at least one value is needed, and each once")
        axes.append((axis[0], values))
    if len({name for name, _ in axes}) < len(axes):
        raise ValueError(f"sweep.axes = {value!r}: allowed is each field once")
    return tuple(axes)
