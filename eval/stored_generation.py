"""What a checkpoint holds of one cell and generation, as the arrays that orbax stores."""

import dataclasses
from typing import Any

import numpy as np

from logic.examples import Examples
from logic.symbols import EOS


@dataclasses.dataclass(frozen=True)
class Generation:
    """What a checkpoint holds of one cell and generation."""

    params: dict  # of the lowest validation loss: the ones that were sampled
    training_set: Examples  # D_t
    counters: dict[str, float]  # losses, steps and costs, under their names in metrics.csv
    # -log M_t(e) in nats on the held-out real expressions, float32: all that measuring needs of a device
    held_out_nll: np.ndarray


def to_arrays(generation: Generation) -> dict[str, Any]:
    """The tree that is stored."""
    return {
        "params": generation.params,
        "training_set": examples_to_arrays(generation.training_set),
        "counters": {name: np.array(value) for name, value in generation.counters.items()},
        "held_out_nll": generation.held_out_nll,
    }


def from_arrays(tree: dict[str, Any]) -> Generation:
    """The generation of a stored tree."""
    return Generation(
        params=tree["params"],
        training_set=examples_from_arrays(tree["training_set"]),
        counters={name: value.item() for name, value in tree["counters"].items()},
        held_out_nll=tree["held_out_nll"],
    )


def examples_to_arrays(examples: Examples) -> dict[str, np.ndarray]:
    """Examples with their provenance as arrays."""
    return {
        "symbols": np.frombuffer(b"".join(e + bytes([EOS]) for e in examples.expressions), np.uint8),
        "source": examples.source,
        "generation": examples.generation,
        "index": examples.index,
        "root": examples.root,
    }


def examples_from_arrays(arrays: dict[str, np.ndarray]) -> Examples:
    """The examples of such arrays."""
    expressions = arrays["symbols"].tobytes().split(bytes([EOS]))[:-1]
    return Examples(expressions, arrays["source"], arrays["generation"], arrays["index"], arrays["root"])
