"""The real distribution: GenLogicExpr (Briesch et al., arXiv 2311.16822) conditioned on being true.

The root has depth 0. A node above `min_depth` is an operator, uniform among not/and/or; a node at
`max_depth` is a constant, uniform among True/False; a node between is uniform among all five. This is a
probabilistic grammar over (depth, truth value), so everything here is exact, by dynamic programming.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from logic.boolean.symbols import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE
from logic.boolean.truth_table import Evaluation, evaluate, nesting
from logic.ids import lengths

# productions[value] = (symbol, value of the first child, value of the second child) for a node of that value.
_PRODUCTIONS: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((FALSE, -1, -1), (NOT, 1, -1), (AND, 0, 0), (AND, 0, 1), (AND, 1, 0), (OR, 0, 0)),
    ((TRUE, -1, -1), (NOT, 0, -1), (AND, 1, 1), (OR, 0, 1), (OR, 1, 0), (OR, 1, 1)),
)
_SYMBOL, _FIRST, _SECOND = np.moveaxis(np.array(_PRODUCTIONS), -1, 0)  # each [value, production]


@dataclasses.dataclass(frozen=True)
class Grammar:
    """The real distribution R over true expressions, with depths between `min_depth` and `max_depth`."""

    min_depth: int = 1  # every constant lies at least this deep, in operators
    max_depth: int = 5  # and at most this deep

    def __post_init__(self) -> None:
        if not 0 <= self.min_depth <= self.max_depth <= 12:
            raise ValueError(
                f"language.min_depth = {self.min_depth}, language.max_depth = {self.max_depth}: "
                "allowed are 0 <= min_depth <= max_depth <= 12"
            )

    @property
    def min_length(self) -> int:
        """Symbols of the shortest expression."""
        return 1 + 3 * self.min_depth

    @property
    def max_length(self) -> int:
        """Symbols of the longest expression."""
        return 2 ** (self.max_depth + 2) - 3

    @functools.cached_property
    def _node(self) -> np.ndarray:
        """node_LS[depth, symbol]: probability that a node at that depth carries the symbol."""
        node_LS = np.zeros((self.max_depth + 1, 8))
        for depth, p in enumerate(node_LS):
            if depth == self.max_depth:
                p[[TRUE, FALSE]] = 1 / 2
            elif depth < self.min_depth:
                p[[NOT, AND, OR]] = 1 / 3
            else:
                p[[NOT, AND, OR, TRUE, FALSE]] = 1 / 5
        return node_LS

    @functools.cached_property
    def _value(self) -> np.ndarray:
        """value_LV[depth, value]: probability of each truth value of the subtree at a node."""
        value_LV = np.zeros((self.max_depth + 2, 2))
        for depth in range(self.max_depth, -1, -1):
            value_LV[depth] = self._joint(depth, value_LV[depth + 1]).sum(axis=1)
        return value_LV[:-1]

    def _joint(self, depth: int, child_V: np.ndarray) -> np.ndarray:
        """joint[value, production]: probability of a node's value and production, given its children's values."""
        child = np.append(child_V, 1.0)  # index -1: no child
        return self._node[depth][_SYMBOL] * child[_FIRST] * child[_SECOND]

    def _conditional(self, depth: int) -> np.ndarray:
        """conditional[value, production]: probability of a production given the node's value."""
        child_V = self._value[depth + 1] if depth < self.max_depth else np.zeros(2)
        joint = self._joint(depth, child_V)
        return joint / joint.sum(axis=1, keepdims=True)

    @property
    def p_true(self) -> float:
        """P(true) of the unconditioned generator: one half, since and/or and True/False are dual."""
        return float(self._value[0, 1])

    @functools.cached_property
    def entropy(self) -> float:
        """Entropy of R in nats."""
        child_V = np.zeros(2)
        for depth in range(self.max_depth, -1, -1):
            p = self._conditional(depth)
            child = np.append(child_V, 0.0)
            choice = -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=1)
            child_V = choice + np.sum(p * (child[_FIRST] + child[_SECOND]), axis=1)
        return float(child_V[1])

    def depth_distribution(self) -> np.ndarray:
        """P(depth = k) under R for k = 0 … max_depth, float64."""
        at_most = np.zeros(self.max_depth + 1)
        for k in range(self.max_depth + 1):  # P(value, depth <= k): productions that reach below k have mass 0
            child_V = np.zeros(2)
            for depth in range(k, -1, -1):
                child_V = self._joint(depth, child_V).sum(axis=1)
            at_most[k] = child_V[1]
        return np.diff(at_most, prepend=0.0) / self.p_true

    def length_distribution(self) -> np.ndarray:
        """P(length = k symbols) under R for k = 0 … max_length, float64."""
        child = np.zeros((2, 1))
        for depth in range(self.max_depth, -1, -1):
            node = self._node[depth]
            size = 2 ** (self.max_depth - depth + 2) - 2
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

    def root_distribution(self) -> np.ndarray:
        """P(root = symbol) under R for the eight symbol ids, constants under id 0, float64."""
        root = np.bincount(_SYMBOL[1], self._conditional(0)[1], 8)
        root[0] = root[[TRUE, FALSE]].sum()
        root[[TRUE, FALSE]] = 0
        return root

    def admits(self, e: Evaluation) -> np.ndarray:
        """Whether the generator could have written each evaluated expression, bool_N."""
        return e.value & e.bracketed & (e.leaf_min >= self.min_depth) & (e.leaf_max <= self.max_depth)

    def log_probability(self, expressions: Sequence[bytes]) -> np.ndarray:
        """log R(e) in nats, float64_N; minus infinity outside the support."""
        N, length_N = len(expressions), lengths(expressions)
        flat_S = np.frombuffer(b"".join(expressions), np.uint8)
        is_operator = np.isin(flat_S, (AND, OR, NOT))
        is_node = is_operator | (flat_S == TRUE) | (flat_S == FALSE)
        # Fully bracketed, a node's depth is the nesting of its constant, or of its operator's own bracket.
        depth_S = np.clip(nesting(flat_S, length_N) - is_operator, 0, self.max_depth)[is_node]
        with np.errstate(divide="ignore"):
            log_node_S = np.log(self._node)[depth_S, np.minimum(flat_S[is_node], FALSE)]
        total_N = np.bincount(np.repeat(np.arange(N), length_N)[is_node], log_node_S, N)
        return np.where(self.admits(evaluate(expressions)), total_N - np.log(self.p_true), -np.inf)

    def sample(self, n: int, rng: np.random.Generator) -> list[bytes]:
        """Draws n true expressions from R, without rejection, one depth of all of them at a time."""
        values, choices = [np.ones(n, np.int64)], []
        for depth in range(self.max_depth + 1):
            value = values[-1]
            cumulative = np.cumsum(self._conditional(depth), axis=1)[:, :-1]
            choice = (rng.random(len(value))[:, None] >= cumulative[value]).sum(axis=1)
            first, second = _FIRST[value, choice], _SECOND[value, choice]
            choices.append(choice)
            values.append(np.concatenate([first[first >= 0], second[second >= 0]]))
        return _write(values, choices)


def _write(values: list[np.ndarray], choices: list[np.ndarray]) -> list[bytes]:
    """Turns the productions of every depth into symbols: lengths from the leaves up, places from the root down.

    The children of a depth are stored as all first children, then all second children, in their parents' order.
    """
    layers, child_length = [], np.zeros(0, np.int64)
    for value, choice in zip(values[-2::-1], choices[::-1], strict=True):
        symbol = _SYMBOL[value, choice]
        unary = np.flatnonzero(symbol <= NOT)  # has a first child
        binary = np.flatnonzero(symbol <= OR)  # has a second child as well
        first = np.zeros(len(symbol), np.int64)
        second = np.zeros(len(symbol), np.int64)
        first[unary], second[binary] = np.split(child_length, [len(unary)])
        child_length = np.where(symbol <= NOT, 3 + first + second, 1)
        layers.append((symbol, unary, binary, first, child_length))
    length_N = child_length
    flat = np.zeros(int(length_N.sum()), np.uint8)
    place = np.cumsum(length_N) - length_N
    for symbol, unary, binary, first, length in layers[::-1]:
        is_not, is_constant = symbol == NOT, symbol > NOT
        flat[place[unary]] = OPEN
        flat[(place + length - 1)[unary]] = CLOSE
        own = place + np.where(is_constant, 0, np.where(is_not, 1, 1 + first))
        flat[own] = symbol
        place = np.concatenate([(place + 1 + is_not)[unary], (place + 2 + first)[binary]])
    data = flat.tobytes()
    ends = np.cumsum(length_N).tolist()
    return [data[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)] if ends else []
