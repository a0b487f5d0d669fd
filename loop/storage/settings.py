"""The settings of a sweep: one for every combination of the values of `sweep.axes`, each in a directory of its own."""

import itertools
from collections.abc import Sequence
from typing import Any

Axes = Sequence[tuple[str, Sequence[Any]]]  # ((field, values), …)


def setting_names(axes: Axes) -> list[str]:
    """The names of all settings, in the order of the axes."""
    fields = [field for field, _ in axes]
    return [setting_name(fields, values) for values in itertools.product(*(values for _, values in axes))]


def setting_name(fields: Sequence[str], values: Sequence[Any]) -> str:
    """The name of one combination of values, such as `model.width=64,sample.temperature=0.8`."""
    return ",".join(f"{field}={value}" for field, value in zip(fields, values, strict=True))
