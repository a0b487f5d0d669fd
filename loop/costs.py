"""What a cell takes besides its training: remedies are compared at equal budgets, what they cost more is counted."""

from collections.abc import Sequence

from loop.blocks import fresh_examples
from loop.cell import Cell
from loop.config import Config
from loop.remedies import acting, needing, remedies_of
from loop.remedies.remedy import VERDICTS


def costs(config: Config, cell: Cell, generation: int, edited: Sequence[bytes] = ()) -> dict[str, int]:
    """Under their columns' names; of this generation, but for the real examples: of all so far.

    Args:
      edited: the fresh examples of the block that the generation leaves behind, if a remedy edits them.
    """
    chain, n = remedies_of(cell.remedy), config.loop.num_samples
    copies = acting(chain, "combine")
    fresh = sum(config.num_fresh(cell, t) for t in range(generation))
    return {
        "samples_written": n * (1 + len(copies)),  # a copy learns from samples of its own
        "samples_verified": n * bool(needing(chain, VERDICTS)),
        "extra_steps": sum(copy.steps for copy in copies) if cell.is_network else 0,
        "real_examples": (config.loop.first_pool or config.loop.num_examples) + fresh,
        **_edits(config, cell, generation, edited),
    }


def _edits(config: Config, cell: Cell, generation: int, edited: Sequence[bytes]) -> dict[str, int]:
    """How many examples an edit has changed; and broken, if the language says what is correct: all of them were."""
    drawn = fresh_examples(config, cell, generation).expressions if edited else []
    changed = [new for old, new in zip(drawn, edited, strict=True) if new != old]
    found = {"examples_edited": len(changed)}
    if config.language.correct is not None:
        found["examples_broken"] = int((~config.language.verify(changed)[config.language.correct]).sum())
    return found
