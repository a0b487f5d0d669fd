"""The real distribution: GenLogicExpr (Briesch et al., arXiv 2311.16822) conditioned on being true in every row.

The root has depth 0. A node above `min_depth` is an operator, uniform among not/and/or; a node at `max_depth` is a
leaf, uniform among True, False and the variables; a node between is a leaf with probability 2/5, whatever the
leaves, and else an operator. This is a probabilistic grammar over (depth, truth table), so everything here is exact,
by dynamic programming. Without variables, as in the paper, a table has one row.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from logic.boolean.layers import write
from logic.boolean.many_rows import ManyRows
from logic.boolean.one_row import OneRow
from logic.boolean.symbols import AND, FALSE, NOT, OR, TRUE, VARIABLES, VOCAB_SIZE, vocabulary
from logic.boolean.truth_table import Evaluation, evaluate, nesting
from logic.ids import lengths


@dataclasses.dataclass(frozen=True)
class Grammar:
    """The real distribution R over true expressions, with depths between `min_depth` and `max_depth`."""

    min_depth: int = 1  # every leaf lies at least this deep, in operators
    max_depth: int = 5  # and at most this deep
    num_variables: int = 0  # leaves besides the constants: p, q, r, s
    constants: bool = True  # whether True and False are leaves

    def __post_init__(self) -> None:
        if not 0 <= self.min_depth <= self.max_depth <= 12:
            raise ValueError(
                f"language.min_depth = {self.min_depth}, language.max_depth = {self.max_depth}: "
                "allowed are 0 <= min_depth <= max_depth <= 12"
            )
        if not 0 <= self.num_variables <= len(VARIABLES):
            raise ValueError(f"language.num_variables = {self.num_variables}: allowed are 0 to {len(VARIABLES)}")
        if not self.constants and (self.num_variables == 0 or self.max_depth < 2):
            raise ValueError(
                f"language.constants = False, language.num_variables = {self.num_variables}, "
                f"language.max_depth = {self.max_depth}: without constants only num_variables >= 1 and max_depth >= 2 "
                "are allowed, or no expression is true in every row"
            )

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words, by symbol id; True and False have theirs even where they are no leaves."""
        return vocabulary(self.num_variables)

    @property
    def min_length(self) -> int:
        """Symbols of the shortest expression that can be written, true or not."""
        return 1 + 3 * self.min_depth

    @property
    def max_length(self) -> int:
        """Symbols of the longest expression."""
        return 2 ** (self.max_depth + 2) - 3

    @functools.cached_property
    def _node(self) -> np.ndarray:
        """node_LS[depth, symbol]: probability that a node at that depth carries the symbol."""
        operators = [NOT, AND, OR]
        leaves = [TRUE, FALSE] * self.constants + [*range(VOCAB_SIZE, len(self.vocabulary))]
        node_LS = np.zeros((self.max_depth + 1, len(self.vocabulary)))
        for depth, p in enumerate(node_LS):
            if depth == self.max_depth:
                p[leaves] = 1 / len(leaves)
            elif depth < self.min_depth:
                p[operators] = 1 / 3
            else:
                p[operators], p[leaves] = 1 / 5, 2 / 5 / len(leaves)
        return node_LS

    @functools.cached_property
    def _exact(self) -> OneRow | ManyRows:
        return ManyRows(self._node, self.num_variables) if self.num_variables else OneRow(self._node)

    @property
    def p_true(self) -> float:
        """P(true in every row) of the unconditioned generator."""
        return self._exact.p_true

    @property
    def entropy(self) -> float:
        """Entropy of R in nats."""
        return self._exact.entropy

    def depth_distribution(self) -> np.ndarray:
        """P(depth = k) under R for k = 0 … max_depth, float64."""
        return self._exact.depth.copy()

    def length_distribution(self) -> np.ndarray:
        """P(length = k symbols) under R for k = 0 … max_length, float64."""
        return self._exact.length.copy()

    def root_distribution(self) -> np.ndarray:
        """P(root = symbol) under R for the ids 0 to 7, leaves under id 0, float64."""
        return self._exact.root

    def subtree_counts(self) -> np.ndarray:
        """Expected number of subtrees of an expression of R with each truth table, by its bit mask, float64.

        The whole expression and the leaves count as subtrees; `trees.subtree_counts` counts them in samples.
        """
        return self._exact.subtrees()

    def admits(self, e: Evaluation) -> np.ndarray:
        """Whether the generator could have written each evaluated expression, bool_N."""
        within = (e.leaf_min >= self.min_depth) & (e.leaf_max <= self.max_depth)
        return e.value & e.bracketed & within & (self.constants | ~e.constants)

    def log_probability(self, expressions: Sequence[bytes]) -> np.ndarray:
        """log R(e) in nats, float64_N; minus infinity outside the support."""
        N, length_N = len(expressions), lengths(expressions)
        flat_S = np.frombuffer(b"".join(expressions), np.uint8)
        is_operator = np.isin(flat_S, (AND, OR, NOT))
        is_node = is_operator | ((flat_S >= TRUE) & (flat_S < len(self.vocabulary)))
        # Fully bracketed, a node's depth is the nesting of its leaf, or of its operator's own bracket.
        depth_S = np.clip(nesting(flat_S, length_N) - is_operator, 0, self.max_depth)[is_node]
        with np.errstate(divide="ignore"):
            log_node_S = np.log(self._node)[depth_S, flat_S[is_node]]
        total_N = np.bincount(np.repeat(np.arange(N), length_N)[is_node], log_node_S, N)
        return np.where(self.admits(evaluate(expressions, self.num_variables)), total_N - np.log(self.p_true), -np.inf)

    def sample(self, n: int, rng: np.random.Generator) -> list[bytes]:
        """Draws n true expressions from R, without rejection, one depth of all of them at a time."""
        return write(self._exact.draw(n, rng))
