"""Reference learners: what part of a fall is temperature's, what part drift's, and what part the network's.

They run on the host, in NumPy.
"""

from loop.cell import TRANSFORMER
from loop.learners.grammar import GrammarFit
from loop.learners.learner import Learner
from loop.learners.memoriser import Memoriser
from loop.learners.ngram import NGram
from loop.spelling import parse, spell

LEARNERS: dict[str, type[Learner]] = {"memoriser": Memoriser, "grammar": GrammarFit, "ngram": NGram}


def learner_of(spelling: str) -> Learner:
    """The reference learner that is spelled. Raises UsageError for anything unknown."""
    return parse(spelling, LEARNERS, "sweep.learners")


def canonical_learner(spelling: str) -> str:
    """`transformer`, or the canonical spelling of a reference learner. Raises UsageError for anything unknown."""
    if spelling.strip() == TRANSFORMER:
        return TRANSFORMER
    return spell(parse(spelling, {TRANSFORMER: object, **LEARNERS}, "sweep.learners"), LEARNERS)
