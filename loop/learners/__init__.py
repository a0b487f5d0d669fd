"""Reference learners: what part of a fall is temperature's, what part drift's, and what part the network's.

They run on the host, in NumPy.
"""

from loop.learners.grammar import GrammarFit
from loop.learners.learner import Learner
from loop.learners.memoriser import Memoriser
from loop.learners.ngram import NGram

LEARNERS: dict[str, type[Learner]] = {"memoriser": Memoriser, "grammar": GrammarFit, "ngram": NGram}
