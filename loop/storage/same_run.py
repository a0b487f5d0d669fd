"""Whether a directory's run is the one that is asked for, or a shorter one that can be extended."""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logic.errors import UsageError
from loop.config import Config
from loop.storage.environment import differing_fields

_HOW = (
    "more loop.generations extend a run, the rest of a configuration stays; more cycles, fresh ratios or seeds are run "
    "in a directory of their own, and python -m eval.report --workdir=DIR DIR2 makes one analysis of both"
)


def is_extended(path: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether `here` is the configuration `there` with more generations; False if both are the same.

    Raises UsageError, naming the fields and what can be done, for every other difference.
    """
    different = differing_fields(completed(there), completed(here))
    if not different:
        return False
    if len(different) > 1 or not different[0].startswith("loop.generations = "):
        raise UsageError(f"--workdir {path} holds a run of another configuration: {'; '.join(different)} ({_HOW})")
    if here["loop"]["generations"] < there["loop"]["generations"]:
        raise UsageError(f"--workdir {path}: {different[0]}: a run can be extended and not shortened")
    return True


def extended(record: Mapping[str, Any], generations: int, devices: str, versions: Mapping[str, Any]) -> dict[str, Any]:
    """config.json of a run that goes on to more generations, and says since when and with what."""
    config = record["config"]
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    entry = {"from": config["loop"]["generations"], "to": generations, "at": now, **versions, "devices": devices}
    config = {**config, "loop": {**config["loop"], "generations": generations}}
    return {**record, "config": config, "extended": [*record.get("extended", []), entry]}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """With the defaults of fields that an older version of this code did not have, and without those that only it had
    and did not use."""
    defaults = json.loads(json.dumps(dataclasses.asdict(Config())))
    return {
        group: {**defaults.get(group, {}), **{k: v for k, v in fields.items() if v is not None or k in defaults[group]}}
        if isinstance(fields, dict)
        else fields
        for group, fields in config.items()
    }
