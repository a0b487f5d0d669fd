"""The preset that reads a configuration from JSON or YAML: a run's own config.json, or a file of some fields.

`--config=runs/demo/config.json` stands for `--config=launch/stored_configuration.py:runs/demo/config.json`.
Fields that the file does not have are the paper's.
"""

import json
from pathlib import Path
from typing import Any

from ml_collections import config_dict

from launch.configuration import defaults
from logic.errors import UsageError


def get_config(path: str) -> config_dict.ConfigDict:
    """The configuration of a file. Raises UsageError, naming it, if it is none."""
    fields = _read(Path(path).expanduser())
    config = defaults()
    for group, values in fields.items():
        if group not in config or not isinstance(values, dict):
            raise UsageError(f"{path}: {group}: no such group of fields; allowed are {', '.join(config)}")
        with config.ignore_type(), config.unlocked():
            for name, value in values.items():
                if value is not None and (group, name) != ("sweep", "shard"):  # of one shard: all cells are wanted
                    config[group][name] = _like(config[group].get(name), value)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            found = json.loads(text)
        else:
            import yaml  # of ml_collections

            found = yaml.safe_load(text)
    except ValueError as error:
        raise UsageError(f"{path} is no {path.suffix[1:].upper()}: {' '.join(str(error).split())}") from None
    except Exception as error:
        if type(error).__module__.split(".")[0] != "yaml":
            raise
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    record = found.get("config", found) if isinstance(found, dict) else None
    if not isinstance(record, dict):
        raise UsageError(f"{path}: allowed are groups of fields, such as train and sweep, with their values")
    return record


def _like(there: Any, value: Any) -> Any:
    """Tuples, which these formats do not have, and numbers that YAML reads as words: 1e-3."""
    if isinstance(value, list):
        return tuple(_like(None, v) for v in value)
    if isinstance(value, str) and isinstance(there, float):
        try:
            return float(value)
        except ValueError:
            return value
    return value
