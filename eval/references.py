"""The mean fields that a run's curves are held against, from its recorded configuration.

They are functions of the configuration alone, so they are computed once in a process.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from eval.mean_field import mean_fields
from logic.errors import UsageError, usage_errors
from logic.languages import language_of
from loop.config import Config, LoopConfig, SweepConfig
from loop.cycles import CYCLES
from model.config import ModelConfig, SampleConfig

MOST = 5_000  # expressions of a language whose mean fields are computed unasked: a minute or so


class References(NamedTuple):
    """What `eval.mean_field.measure` says of every (cycle, φ), or why it says nothing."""

    fields: Mapping[tuple[str, float], Mapping[str, Any]]
    missing: str = ""


def _config(record: Mapping[str, Any]) -> Config | None:
    """What the mean field needs of a run's config.json, without cycles that have none; None if it is not there."""
    given = record["config"]
    try:
        known = [name for name in given["sweep"]["cycles"] if name in CYCLES]
        cycles = [name for name in known if CYCLES[name].is_control or CYCLES[name].newest_share(1.0, 0) is not None]
        loop = {name: given["loop"][name] for name in ("generations", "num_examples", "num_samples", "renewal_share")}
        loop["first_pool"] = given["loop"].get("first_pool")  # version 0.1 had none
        return Config(
            language_of(given["language"]),
            ModelConfig(context_length=given["model"]["context_length"]),
            sample=SampleConfig(**{name: given["sample"][name] for name in ("temperature", "top_k", "top_p")}),
            loop=LoopConfig(**loop),
            sweep=SweepConfig(tuple(cycles), *(tuple(given["sweep"][name]) for name in ("fresh_ratios", "seeds"))),
        )
    except (KeyError, TypeError):
        return None


@functools.lru_cache(maxsize=32)
def _fields(config: Config, most: int) -> Mapping[tuple[str, float], Mapping[str, Any]]:
    found = mean_fields(config, most=most)
    return {(setting.cycle, setting.fresh_ratio): result for setting, result in found.items()}


def references(record: Mapping[str, Any], most: int = MOST) -> References:
    """The mean fields of a run, of a language with at most so many expressions."""
    try:
        with usage_errors():
            config = _config(record)
        if config is None:
            return References({}, "no mean field: the run's configuration is of another version")
        return References(_fields(config, most))
    except UsageError as error:
        return References({}, f"no mean field: {error}")
