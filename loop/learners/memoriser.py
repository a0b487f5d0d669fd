"""The memoriser: learns its training set perfectly, and nothing else.

What its loop loses is lost by temperature and by finite sampling, without any network.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence

import numpy as np

from loop.learners.prefix_tree import PrefixTree
from model.config import SampleConfig


@dataclasses.dataclass(frozen=True)
class Memoriser:
    """A prefix tree of the training set with counts."""

    def learn(self, examples: Sequence[bytes], language: object, context_length: int) -> "Memory":
        """Remembers the examples, each cut at context_length symbols; nothing is asked of the language."""
        counts = Counter(e[:context_length] for e in examples)
        tree = PrefixTree(list(counts), context_length)
        return Memory(tree, np.array([counts[e] for e in tree.expressions], np.int64), context_length)


@dataclasses.dataclass(frozen=True)
class Memory:
    """What was learnt: U distinct expressions and their multiplicities."""

    tree: PrefixTree
    count_U: np.ndarray  # of tree.expressions, in their order
    context_length: int

    def distribution(self, config: SampleConfig) -> np.ndarray:
        """The exact distribution of the samples over `tree.expressions`, float64_U."""
        return np.exp(self.tree.sharpen(np.log(self.count_U), config))

    def sample(self, n: int, rng: np.random.Generator, config: SampleConfig) -> list[bytes]:
        """Writes n independent samples."""
        cumulative_U = np.cumsum(self.distribution(config))
        # One number a sample decides its whole walk through the tree, whose leaves are in order.
        drawn_N = np.searchsorted(cumulative_U, rng.random(n) * cumulative_U[-1], side="right")
        return [self.tree.expressions[i] for i in drawn_N.tolist()]

    @functools.cached_property
    def _log_share(self) -> dict[bytes, float]:
        return dict(zip(self.tree.expressions, np.log(self.count_U / self.count_U.sum()).tolist(), strict=True))

    def log_likelihood(self, samples: Sequence[bytes]) -> np.ndarray:
        """log M(e) in nats at temperature 1, float64_N; minus infinity for what was not in the training set."""
        return np.array([self._log_share.get(e[: self.context_length], -np.inf) for e in samples], np.float64)
