"""What training sets are made of: draws from the real distribution, and the incoming block of a generation.

All random choices come from (seed, generation, purpose).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from logic.language import Verdicts
from loop.cell import Cell
from loop.config import Config
from loop.cycles import CYCLES
from loop.cycles.cycle import random_subset
from loop.examples import Examples, concatenate
from loop.remedies import acting, needing, reach, remedies_of
from loop.remedies.remedy import FIRST_DATA, Pool, settle
from loop.streams import Purpose, generator

# float32_N: nats_0 of the samples of this generation under its model, nats_1 of those of the generation before, …;
# written_nats_0, … likewise, under what the model samples from. Only what the cell's remedies need is there.
Scores = Mapping[str, np.ndarray]


class Written(NamedTuple):
    """What a cell's generation wrote, and all that is known of it: as it is stored."""

    samples: Examples  # S_t
    verdicts: Verdicts  # on S_t
    scores: Scores
    edited: Sequence[bytes] = ()  # the fresh examples of N_t as the model has edited them, if a remedy wants that


def real_examples(config: Config, seed: int, generation: int, n: int) -> Examples:
    """n draws from the real distribution, first used in D_generation."""
    rng = generator(seed, generation, Purpose.REAL_DATA)
    return Examples.drawn(config.language.sample(n, rng), generation)


def fresh_examples(config: Config, cell: Cell, generation: int) -> Examples:
    """The real part of N_t, as it is drawn."""
    return real_examples(config, cell.seed, generation + 1, config.num_fresh(cell, generation))


def initial_training_set(config: Config, seed: int) -> Examples:
    """D_0: all real; less diverse than the real distribution where it comes from a pool (`loop.first_pool`)."""
    m, pool = config.loop.num_examples, config.loop.first_pool
    drawn = real_examples(config, seed, 0, m)
    if pool is None:
        return drawn
    chosen = generator(seed, 0, Purpose.POOL).integers(pool, size=m)  # of the first: smaller pools are parts of larger
    return Examples.drawn([drawn.expressions[i] for i in chosen], 0)


def held_out_expressions(config: Config) -> list[bytes]:
    """Draws from R that no model is trained on: one set for all cells and generations."""
    return config.language.sample(config.loop.num_held_out, generator(0, 0, Purpose.HELD_OUT))


def incoming_block(
    config: Config, cell: Cell, generation: int, written: Written, past: Sequence[Written] = ()
) -> Examples:
    """N_t, from what generation t and, newest first, those before it have written. Raises TooFewError."""
    wanted = config.num_generated(cell, generation)
    chosen = selected(config, cell, generation, wanted, written, past)
    if chosen is None:
        chosen = random_subset(written.samples, wanted, generator(cell.seed, generation, Purpose.BLOCK))
    fresh = fresh_examples(config, cell, generation)
    if acting(remedies_of(cell.remedy), "edit"):
        fresh = fresh.edited(written.edited, generation)
    return concatenate([chosen, fresh])


def selected(
    config: Config, cell: Cell, generation: int, wanted: int, written: Written, past: Sequence[Written]
) -> Examples | None:
    """The generated part of N_t as the cell's remedies choose it, one after another; None if none of them chooses."""
    selections = acting(remedies_of(cell.remedy), "select")
    if not selections:
        return None
    rng = generator(cell.seed, generation, Purpose.SELECT)
    pool = all_that_is_there = _pool(config, cell, written, past)
    place = np.arange(len(pool))  # of the chosen among all
    for selection in selections:
        place = place[selection.select(pool, wanted, rng)]
        pool = all_that_is_there.take(place)
        if selection.fill == "end":
            settle(pool, np.arange(len(pool)), wanted if len(pool) < wanted else len(pool), "end", rng)
    place = settle(all_that_is_there, place, wanted, selections[-1].fill, rng)
    return all_that_is_there.samples.take(place)


def _pool(config: Config, cell: Cell, written: Written, past: Sequence[Written]) -> Pool:
    """What the cell's remedies choose from, the newest generation first."""
    parts = []
    asked = needing(remedies_of(cell.remedy), FIRST_DATA)
    real = initial_training_set(config, cell.seed).expressions if asked else []
    for age, one in enumerate([written, *past][: reach(cell.remedy)]):
        nats, by_itself = (
            written.scores.get(f"{name}_{age}", np.zeros(0, np.float32)) for name in ("nats", "written_nats")
        )
        parts.append(
            Pool(one.samples, one.verdicts, nats, by_itself, config.language, config.model.context_length, real)
        )
    return Pool.union(parts)


def next_training_set(
    config: Config, cell: Cell, generation: int, current: Examples, blocks: Sequence[Examples]
) -> Examples:
    """D_{t+1} from D_t (`current`) and `blocks`, as the cell's cycle makes it."""
    rng = generator(cell.seed, generation, Purpose.MIX)
    return CYCLES[cell.cycle].next_set(config.loop.num_examples, current, blocks, rng)
