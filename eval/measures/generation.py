"""What the loop is given to measure with: the row and the anatomy of one cell and generation."""

from typing import Any

from eval.measures.anatomy import anatomy
from eval.measures.row import COLUMNS, measure_change, measure_model, measure_samples, measure_training_set
from logic.boolean.verifier import Verdicts
from loop.blocks import held_out_expressions
from loop.cell import Cell
from loop.config import Config
from loop.outcome import Outcome
from loop.record import Measurement
from loop.streams import Purpose, generator


def measure(config: Config, cell: Cell, generation: int, outcome: Outcome) -> Measurement:
    """Measures what a cell's generation ended with."""
    grammar: Any = config.language
    grammar = grammar.grammar
    trained, samples, verdicts = outcome.trained, outcome.samples, Verdicts(**outcome.verdicts)
    rng = generator(cell.seed, generation, Purpose.MEASURE)
    row = {
        **measure_samples(samples.expressions, verdicts, grammar),
        **measure_change(samples, trained.training_set),
        **measure_training_set(trained.training_set, rng, config.loop.num_examples),
        **measure_model(trained.held_out_nll, held_out_expressions(config), grammar),
        **{name: trained.counters[name] for name in COLUMNS if name in trained.counters},  # orbax sorts them
    }
    return Measurement(row, anatomy(samples, verdicts, trained.training_set, grammar))
