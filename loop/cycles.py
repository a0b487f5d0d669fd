"""The data cycles: how D_{t+1} is made from D_t, S_t and the past.

The incoming block of generation t is

    N_t = (1-φ)·b generated examples drawn without replacement from S_t  +  φ·b fresh draws from R

and every cycle is a pure function of the blocks. All random choices come from (seed, generation, purpose).
"""

from collections.abc import Sequence

import numpy as np

from loop.cell import Cell
from loop.config import Config
from loop.examples import Examples, concatenate
from loop.streams import Purpose, generator


def real_examples(config: Config, seed: int, generation: int, n: int) -> Examples:
    """n draws from the real distribution, first used in D_generation."""
    rng = generator(seed, generation, Purpose.REAL_DATA)
    return Examples.drawn(config.language.sample(n, rng), generation)


def initial_training_set(config: Config, seed: int) -> Examples:
    """D_0: all real."""
    return real_examples(config, seed, 0, config.loop.num_examples)


def held_out_expressions(config: Config) -> list[bytes]:
    """Draws from R that no model is trained on: one set for all cells and generations."""
    return config.language.sample(config.loop.num_held_out, generator(0, 0, Purpose.HELD_OUT))


def _subset(examples: Examples, size: int, rng: np.random.Generator) -> Examples:
    return examples.take(rng.choice(len(examples), size, replace=False))


def incoming_block(config: Config, cell: Cell, generation: int, samples: Examples) -> Examples:
    """N_t, from the samples S_t of generation t."""
    rng = generator(cell.seed, generation, Purpose.BLOCK)
    written = _subset(samples, config.num_generated(cell), rng)
    fresh = real_examples(config, cell.seed, generation + 1, config.num_fresh(cell))
    return concatenate([written, fresh])


def next_training_set(
    config: Config, cell: Cell, generation: int, current: Examples, blocks: Sequence[Examples]
) -> Examples:
    """D_{t+1} from D_t (`current`) and `blocks`: D_0, N_0, …, N_t, or at least N_t for cycles without memory."""
    m, newest = config.loop.num_examples, blocks[-1]
    rng = generator(cell.seed, generation, Purpose.MIX)
    match cell.cycle:
        case "full" | "fresh":
            return newest
        case "incremental":
            return concatenate([_subset(current, m - len(newest), rng), newest])
        case "expanding":
            return concatenate([current, newest])
        case "balanced":
            share, rest = divmod(m, len(blocks))
            sizes = [share + (i < rest) for i in range(len(blocks))]
            return concatenate([_subset(b, size, rng) for b, size in zip(blocks, sizes, strict=True)])
        case "subsample":
            return _subset(concatenate(blocks), m, rng)
    raise ValueError(f"cycle = {cell.cycle}")


def has_memory(cycle: str) -> bool:
    """Whether a cycle draws from all past blocks."""
    return cycle in ("balanced", "subsample")
