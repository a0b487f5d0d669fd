"""Settings of a sweep that differ in nothing but numbers: they are members of one ensemble, and one program runs them.

A number changes no shape and no branch of a program. Those that differ are given to it as arrays, one entry per run
(loop/training/treatment.py); those that are equal stay constants of it. How many real examples the first data are drawn
from may differ as well: no program knows of it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loop.config import Config

SAMPLING = ("sample.temperature", "sample.top_p")
TRAINING = tuple(
    f"train.{name}" for name in ("learning_rate", "min_learning_rate", "weight_decay", "grad_clip", "beta1", "beta2")
)
DROPOUT = "model.dropout"
NUMBERS = (*SAMPLING, *TRAINING, DROPOUT)
DATA = "loop.first_pool"


def number(config: Config, field: str) -> float:
    """The value of one of the fields."""
    group, name = field.split(".")
    return getattr(getattr(config, group), name)


def differ(configs: Sequence[Config], field: str) -> bool:
    """Whether the configurations disagree in it."""
    return len({number(config, field) for config in configs}) > 1


def alike(settings: Mapping[str, Config]) -> list[dict[str, Config]]:
    """The settings in groups that differ in numbers alone, in the order of their first ones."""
    groups: dict[Config, dict[str, Config]] = {}
    for name, config in settings.items():
        shared = _with(config, {**dict.fromkeys(NUMBERS, 0.5), DATA: None})
        groups.setdefault(shared, {})[name] = config
    return list(groups.values())


def in_groups(settings: Mapping[str, Config], fitting: Callable[[Sequence[Config]], int]) -> list[dict[str, Config]]:
    """The settings in groups that run side by side: those that are alike, as many as `fitting` of them says."""
    found = []
    for group in alike(settings):
        names, many = list(group), fitting(list(group.values()))
        found += [{name: group[name] for name in names[i : i + many]} for i in range(0, len(names), many)]
    return found


def representative(configs: Sequence[Config]) -> Config:
    """What stands for all of them where numbers do not matter: the first, with the greatest dropout."""
    return _with(configs[0], {DROPOUT: max(number(config, DROPOUT) for config in configs)})


def _with(config: Config, numbers: Mapping[str, float | None]) -> Config:
    changed: dict[str, dict[str, Any]] = {}
    for field, value in numbers.items():
        group, name = field.split(".")
        changed.setdefault(group, {})[name] = value
    return dataclasses.replace(
        config, **{group: dataclasses.replace(getattr(config, group), **fields) for group, fields in changed.items()}
    )
