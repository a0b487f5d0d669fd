"""What the loop is given to measure with: the row and the anatomy of one cell and generation."""

from eval.measures.anatomy import anatomy
from eval.measures.observation import Observation
from eval.measures.registry import measure
from loop.blocks import held_out_expressions
from loop.cell import Cell
from loop.config import Config
from loop.costs import costs
from loop.outcome import Outcome
from loop.record import Measurement
from loop.streams import Purpose, generator


def measure_generation(config: Config, cell: Cell, generation: int, outcome: Outcome) -> Measurement:
    """Measures what a cell's generation ended with."""
    trained, samples, verdicts = outcome.trained, outcome.samples, outcome.verdicts
    observation = Observation(
        language=config.language,
        samples=samples,
        verdicts=verdicts,
        training_set=trained.training_set,
        held_out=held_out_expressions(config),
        held_out_nll=trained.held_out_nll,
        counters=trained.counters | costs(config, cell, generation, outcome.edited),
        subsets=generator(cell.seed, generation, Purpose.MEASURE),
        subset_size=config.loop.num_examples,
    )
    return Measurement(measure(observation), anatomy(samples, verdicts, trained.training_set, config.language))
