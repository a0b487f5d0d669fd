"""What a cell takes besides its training: remedies are compared at equal budgets, what they cost more is counted."""

from loop.cell import Cell
from loop.config import Config
from loop.remedies import acting, needing, remedies_of
from loop.remedies.remedy import VERDICTS


def costs(config: Config, cell: Cell, generation: int) -> dict[str, int]:
    """Under their columns' names; of this generation, but for the real examples: of all so far."""
    chain, n = remedies_of(cell.remedy), config.loop.num_samples
    copies = acting(chain, "combine")
    fresh = sum(config.num_fresh(cell, t) for t in range(generation))
    return {
        "samples_written": n * (1 + len(copies)),  # a copy learns from samples of its own
        "samples_verified": n * bool(needing(chain, VERDICTS)),
        "extra_steps": sum(copy.steps for copy in copies) if cell.is_network else 0,
        "real_examples": (config.loop.first_pool or config.loop.num_examples) + fresh,
    }
