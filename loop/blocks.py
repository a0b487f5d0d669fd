"""What training sets are made of: draws from the real distribution, and the incoming block of a generation.

All random choices come from (seed, generation, purpose).
"""

from collections.abc import Sequence

from loop.cell import Cell
from loop.config import Config
from loop.cycles import CYCLES
from loop.cycles.cycle import random_subset
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


def incoming_block(config: Config, cell: Cell, generation: int, samples: Examples) -> Examples:
    """N_t, from the samples S_t of generation t."""
    rng = generator(cell.seed, generation, Purpose.BLOCK)
    written = random_subset(samples, config.num_generated(cell, generation), rng)
    fresh = real_examples(config, cell.seed, generation + 1, config.num_fresh(cell, generation))
    return concatenate([written, fresh])


def next_training_set(
    config: Config, cell: Cell, generation: int, current: Examples, blocks: Sequence[Examples]
) -> Examples:
    """D_{t+1} from D_t (`current`) and `blocks`, as the cell's cycle makes it."""
    rng = generator(cell.seed, generation, Purpose.MIX)
    return CYCLES[cell.cycle].next_set(config.loop.num_examples, current, blocks, rng)
