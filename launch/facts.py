"""What config.json tells the readers of a run, so that they need not be of the version that ran it."""

from eval.measures.row import COLUMNS
from loop.cycles import CONTROLS

FACTS = {
    "columns": list(COLUMNS),  # of metrics.csv
    "controls": list(CONTROLS),  # cycles that never train on generated examples
}
