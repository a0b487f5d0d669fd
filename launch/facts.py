"""What config.json tells the readers of a run, so that they need not be of the version that ran it."""

from typing import Any

from eval.measures.registry import columns
from loop.config import Config
from loop.cycles import CONTROLS


def facts(config: Config) -> dict[str, Any]:
    """`columns` of metrics.csv; `controls`, the cycles that never train on generated examples; `random_keys`' kind."""
    from loop.streams import KEYS  # imports JAX

    return {"columns": list(columns(config.language)), "controls": list(CONTROLS), "random_keys": KEYS}
