"""What a measure is: a column of metrics.csv, and all that tables, pickers and axes say of it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval.measures.observation import Observation
    from logic.language import Language

WRITES = "What the model writes"
DISTANCE = "How far it is from the real distribution"
DATA = "What the model is trained on"
TRAINING = "Training"
GROUPS = (WRITES, DISTANCE, DATA, TRAINING)  # in the order of the picker

OF_LANGUAGE = (
    "log_probability",
    "entropy",
    "depth",
    "normal_form",
    "rows_true",
    "functions",
)  # not every language has these
OF_RUN = (  # a run observes all of these
    "samples",
    "training_set",
    "training_subset",
    "held_out",
    "training",
    "self_likelihood",
    "first_likelihood",
    "costs",
)


@dataclasses.dataclass(frozen=True)
class Measure:
    """One column. Names, labels and groups are written here and nowhere else."""

    name: str  # the column
    function: Callable[["Observation"], float | None]  # None: not defined, such as a mean of no samples
    label: str  # on axes and in the picker, without the unit
    group: str  # of GROUPS
    unit: str  # such as `nats`; empty for a share or a count
    meaning: str  # in README's table
    needs: tuple[str, ...] = ("samples",)  # of OF_LANGUAGE and OF_RUN; without one of them there is no such column
    leads: bool = False  # stands before the others of its group in the picker and in README's table

    def __post_init__(self) -> None:
        for need in self.needs:
            if need not in OF_LANGUAGE + OF_RUN:
                raise ValueError(f"needs = {need!r} of {self.name}: allowed are {', '.join(OF_LANGUAGE + OF_RUN)}")

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


# The measures of which a language has one for each of its verdicts or statistics.
Family = Callable[["Language"], Sequence[Measure]]
