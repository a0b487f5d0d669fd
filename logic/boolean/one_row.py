"""The exact figures of a grammar without variables: a truth table of one row, so a node's value is one of two.

All productions of a value are listed, and everything is dynamic programming over (depth, value).
"""

import functools

import numpy as np

from logic.boolean.layers import children
from logic.boolean.symbols import AND, FALSE, NOT, OR, TRUE

# productions[value] = (symbol, value of the first child, value of the second child) for a node of that value.
_PRODUCTIONS: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((FALSE, -1, -1), (NOT, 1, -1), (AND, 0, 0), (AND, 0, 1), (AND, 1, 0), (OR, 0, 0)),
    ((TRUE, -1, -1), (NOT, 0, -1), (AND, 1, 1), (OR, 0, 1), (OR, 1, 0), (OR, 1, 1)),
)
_SYMBOL, _FIRST, _SECOND = np.moveaxis(np.array(_PRODUCTIONS), -1, 0)  # each [value, production]


class OneRow:
    """The distribution of true expressions, from node_LS[depth, symbol], the generator's probabilities of a node."""

    def __init__(self, node_LS: np.ndarray):
        self._node, self._max_depth = node_LS, len(node_LS) - 1

    @functools.cached_property
    def _value(self) -> np.ndarray:
        """value_LV[depth, value]: probability of each truth value of the subtree at a node."""
        value_LV = np.zeros((self._max_depth + 2, 2))
        for depth in range(self._max_depth, -1, -1):
            value_LV[depth] = self._joint(depth, value_LV[depth + 1]).sum(axis=1)
        return value_LV[:-1]

    def _joint(self, depth: int, child_V: np.ndarray) -> np.ndarray:
        """joint[value, production]: probability of a node's value and production, given its children's values."""
        child = np.append(child_V, 1.0)  # index -1: no child
        return self._node[depth][_SYMBOL] * child[_FIRST] * child[_SECOND]

    def _conditional(self, depth: int) -> np.ndarray:
        """conditional[value, production]: probability of a production given the node's value."""
        child_V = self._value[depth + 1] if depth < self._max_depth else np.zeros(2)
        joint = self._joint(depth, child_V)
        return joint / joint.sum(axis=1, keepdims=True)

    @property
    def p_true(self) -> float:
        """P(true) of the unconditioned generator: one half, since and/or and True/False are dual."""
        return float(self._value[0, 1])

    @functools.cached_property
    def entropy(self) -> float:
        """Entropy in nats."""
        child_V = np.zeros(2)
        for depth in range(self._max_depth, -1, -1):
            p = self._conditional(depth)
            child = np.append(child_V, 0.0)
            choice = -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=1)
            child_V = choice + np.sum(p * (child[_FIRST] + child[_SECOND]), axis=1)
        return float(child_V[1])

    @functools.cached_property
    def depth(self) -> np.ndarray:
        """P(depth = k) for k = 0 … max_depth."""
        at_most = np.zeros(self._max_depth + 1)
        for k in range(self._max_depth + 1):  # P(value, depth <= k): productions that reach below k have mass 0
            child_V = np.zeros(2)
            for depth in range(k, -1, -1):
                child_V = self._joint(depth, child_V).sum(axis=1)
            at_most[k] = child_V[1]
        return np.diff(at_most, prepend=0.0) / self.p_true

    @functools.cached_property
    def length(self) -> np.ndarray:
        """P(length = k symbols) for k = 0 … the longest expression's length."""
        child = np.zeros((2, 1))
        for depth in range(self._max_depth, -1, -1):
            node = self._node[depth]
            size = 2 ** (self._max_depth - depth + 2) - 2
            here = np.zeros((2, size))
            for value, productions in enumerate(_PRODUCTIONS):
                for symbol, first, second in productions:
                    if first < 0:
                        here[value, 1] += node[symbol]
                    elif second < 0:
                        here[value, 3 : 3 + child.shape[1]] += node[symbol] * child[first]
                    elif node[symbol] > 0:
                        both = np.convolve(child[first], child[second])
                        here[value, 3 : 3 + len(both)] += node[symbol] * both
            child = here
        return child[1] / self.p_true

    @property
    def root(self) -> np.ndarray:
        """P(root = symbol) by id, with all leaves under id 0."""
        root = np.bincount(_SYMBOL[1], self._conditional(0)[1], 8)
        root[0] = root[[TRUE, FALSE]].sum()
        root[[TRUE, FALSE]] = 0
        return root

    def subtrees(self) -> np.ndarray:
        """Expected number of subtrees of each truth value in an expression, the whole one included."""
        expected = here = np.array([0.0, 1.0])
        for depth in range(self._max_depth):
            weight = (here[:, None] * self._conditional(depth)).ravel()
            first, second = (np.bincount(child.ravel() + 1, weight, 3)[1:] for child in (_FIRST, _SECOND))
            here = first + second
            expected = expected + here
        return expected

    def draw(self, n: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Draws n true expressions as layers of symbols, one depth of all of them at a time."""
        symbols, value = [], np.ones(n, np.int64)
        for depth in range(self._max_depth + 1):
            cumulative = np.cumsum(self._conditional(depth), axis=1)[:, :-1]
            choice = (rng.random(len(value))[:, None] >= cumulative[value]).sum(axis=1)
            symbols.append(_SYMBOL[value, choice])
            unary, binary = children(symbols[-1])
            first, second = _FIRST[value, choice], _SECOND[value, choice]
            value = np.concatenate([first[unary], second[binary]])
        return symbols
