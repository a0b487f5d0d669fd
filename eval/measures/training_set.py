"""What a model is trained on."""

from collections import Counter

from eval.measures.diversity import levenshtein_diversity, unique_fraction
from eval.measures.measure import DATA, Measure

_NEEDS = ("training_set",)
SIZE = Measure(
    "train_size", lambda o: len(o.train), "training examples", DATA, "", "examples of the training set", _NEEDS
)
UNIQUE = Measure(
    "train_unique_fraction",
    lambda o: unique_fraction(o.train_counts),
    "unique fraction of the training set",
    DATA,
    "",
    "distinct examples / examples of the training set",
    _NEEDS,
)
REAL = Measure(
    "train_real_fraction",
    lambda o: o.train.real_fraction,
    "real share of the training set",
    DATA,
    "",
    "share of the training set that was drawn from the real distribution",
    _NEEDS,
)
# The pairs of a set that grows from generation to generation soon cannot be counted: a subset is, without bias.
DIVERSITY = Measure(
    "train_diversity",
    lambda o: levenshtein_diversity(Counter(o.train_subset.expressions)),
    "diversity of the training set",
    DATA,
    "",
    "like `levenshtein_diversity`; of a random subset where a growing set exceeds its first size",
    needs=("training_subset",),
)
MEASURES = (SIZE, UNIQUE, REAL, DIVERSITY)
