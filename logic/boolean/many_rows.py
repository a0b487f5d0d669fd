"""The exact figures of a grammar with variables, by dynamic programming over (depth, truth table).

With k variables a table is one of V = 2**(2**k) masks: 4, 16, 256 or 65,536. The distribution of the table of an
`and` comes from that of its operands' by superset sums (see `masks`). That of an `or` follows by duality: exchanging
`and` with `or` and True with False changes no probability, so P(or gives m) = P(and gives the dual of m). What has
been subtracted has an absolute error, of about 1e-16; of no more than that are all figures here.
"""

import functools

import numpy as np

from logic.boolean.layers import children
from logic.boolean.masks import (
    dual,
    from_subset_sums,
    from_superset_sums,
    full_mask,
    leaf_masks,
    subset_sums,
    superset_sums,
)
from logic.boolean.pairs import draw_pairs
from logic.boolean.symbols import AND, NOT, OR, TRUE, VOCAB_SIZE

_CELLS = 1 << 16  # numbers in the largest temporary array: it fits the cache


class ManyRows:
    """The distribution of tautologies, from node_LS[depth, symbol], the generator's probabilities of a node."""

    def __init__(self, node_LS: np.ndarray, num_variables: int):
        self._node, self._max_depth = node_LS, len(node_LS) - 1
        self._full = full_mask(num_variables)
        self._dual = dual(num_variables)
        self._leaves, self._leaf_masks = np.array(list(leaf_masks(num_variables).items())).T

    def _combine(self, depth: int, child_BV: np.ndarray, both_BV: np.ndarray) -> np.ndarray:
        """The part of a node's distribution that is due to operators; both_BV is that of the `and` of two children."""
        p = self._node[depth]
        return p[NOT] * child_BV[..., ::-1] + p[AND] * both_BV + p[OR] * both_BV[..., self._dual]

    @functools.cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """value_LV and both_LV: P(mask of a node at a depth), P(mask of the `and` of two nodes at the depth below)."""
        value_LV = np.zeros((self._max_depth + 1, self._full + 1))
        both_LV = np.zeros_like(value_LV)
        for depth in range(self._max_depth, -1, -1):
            if depth < self._max_depth:
                child_BV = np.stack([value_LV[depth + 1], value_LV[depth + 1] > 0])
                both, ways = from_superset_sums(superset_sums(child_BV) ** 2)
                # Rounding must not make the impossible likely; numbers of ways are whole, and exact.
                both_LV[depth] = np.where(ways > 0.5, np.maximum(both, 0), 0)
                value_LV[depth] = self._combine(depth, value_LV[depth + 1], both_LV[depth])
            value_LV[depth, self._leaf_masks] += self._node[depth, self._leaves]
        return value_LV, both_LV

    @property
    def p_true(self) -> float:
        """P(true in every row) of the unconditioned generator."""
        return float(self._tables[0][0, -1])

    @functools.cached_property
    def entropy(self) -> float:
        """Entropy in nats."""
        value_V, logs_V = np.zeros((2, self._full + 1))  # sums of P and of P log P over all subtrees of a mask
        for p in self._node[::-1]:
            log_p = np.log(np.where(p > 0, p, 1))
            sums, log_sums = superset_sums(np.stack([value_V, logs_V]))
            both, both_logs = from_superset_sums(np.stack([sums * sums, 2 * sums * log_sums]))
            logs_V = p[NOT] * (logs_V + log_p[NOT] * value_V)[::-1] + p[AND] * (both_logs + log_p[AND] * both)
            logs_V += p[OR] * (both_logs + log_p[OR] * both)[self._dual]
            value_V = p[NOT] * value_V[::-1] + p[AND] * both + p[OR] * both[self._dual]
            value_V[self._leaf_masks] += p[self._leaves]
            logs_V[self._leaf_masks] += (p * log_p)[self._leaves]
        return float(np.log(value_V[-1]) - logs_V[-1] / value_V[-1])

    def _generating(self, max_depth: int, leaf_B: np.ndarray, operator_B: np.ndarray) -> np.ndarray:
        """Sum of P(tree) leaf**leaves operator**operators over the true trees of at most a depth, for all B factors."""
        value_BV = np.zeros((len(leaf_B), self._full + 1), leaf_B.dtype)
        for depth in range(max_depth, -1, -1):
            if depth < max_depth:
                both_BV = from_superset_sums(superset_sums(value_BV) ** 2)
                value_BV = operator_B[:, None] * self._combine(depth, value_BV, both_BV)
            value_BV[:, self._leaf_masks] += leaf_B[:, None] * self._node[depth, self._leaves]
        return value_BV[:, -1]

    @functools.cached_property
    def depth(self) -> np.ndarray:
        """P(depth = k) for k = 0 … max_depth."""
        one = np.ones(1)
        at_most = np.concatenate([self._generating(k, one, one) for k in range(self._max_depth + 1)])
        return np.maximum(np.diff(at_most, prepend=0.0), 0) / self.p_true

    @functools.cached_property
    def length(self) -> np.ndarray:
        """P(length = k symbols) for k = 0 … the longest expression's length.

        The generating function of the length, at roots of unity, is one more run of the dynamic programme each, so
        memory does not grow with the length. Four variables, one core: 2 s for depth 5, 24 s for depth 8, and more
        than twice as long for each depth more; three variables, 3 s for depth 12.
        """
        n = 2 ** (self._max_depth + 2) - 2
        root_F = np.exp(-2j * np.pi * np.arange(n // 2 + 1) / n)
        size = max(1, _CELLS // (self._full + 1))
        chunks = [root_F[i : i + size] for i in range(0, len(root_F), size)]
        values = [self._generating(self._max_depth, x_B, x_B**3) for x_B in chunks]
        p = np.fft.irfft(np.concatenate(values), n) / self.p_true
        # What can be written is never given probability zero by rounding, nor what cannot a small one.
        return np.where(_possible_lengths(self._node), np.maximum(p, 1e-18), 0)

    @property
    def root(self) -> np.ndarray:
        """P(root = symbol) by id, with all leaves under id 0."""
        value_LV, both_LV = self._tables
        root = np.zeros(VOCAB_SIZE)
        root[0] = self._node[0, TRUE]
        if self._max_depth > 0:
            p = self._node[0, [NOT, AND, OR]]
            root[[NOT, AND, OR]] = p * [value_LV[1, 0], both_LV[0, -1], both_LV[0, self._dual[-1]]]
        return root / root.sum()

    def subtrees(self) -> np.ndarray:
        """Expected number of subtrees of each mask in a tautology, the whole one included.

        In the sum of P(tree) over all tautologies, the number of a mask's subtrees at a depth is the exponent of that
        mask's probability there: the logarithmic derivative, by reverse differentiation of the dynamic programme.
        """
        value_LV, _ = self._tables
        slope_V = np.zeros(self._full + 1)
        slope_V[-1] = 1
        expected_V = value_LV[0] * slope_V
        for p, child_V in zip(self._node, value_LV[1:], strict=False):
            # An `or` is an `and` of complements: masks in reverse order.
            child_BV, slope_BV = np.stack([child_V, child_V[::-1]]), np.stack([p[AND] * slope_V, p[OR] * slope_V[::-1]])
            of_and, of_or = 2 * subset_sums(superset_sums(child_BV) * from_subset_sums(slope_BV))
            slope_V = p[NOT] * slope_V[::-1] + of_and + of_or[::-1]
            expected_V += child_V * slope_V
        return np.maximum(expected_V, 0) / self.p_true

    def draw(self, n: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Draws n tautologies as layers of symbols, one depth of all of them at a time."""
        value_LV, both_LV = self._tables
        leaf_V = np.zeros(self._full + 1, np.int64)
        leaf_V[self._leaf_masks] = self._leaves
        symbols, mask = [], np.full(n, self._full)
        for depth, p in enumerate(self._node):
            weight_N4 = np.zeros((len(mask), 4))
            weight_N4[:, 0] = p[leaf_V[mask]]
            if depth < self._max_depth:
                weight_N4[:, 1] = p[NOT] * value_LV[depth + 1, self._full ^ mask]
                weight_N4[:, 2] = p[AND] * both_LV[depth, mask]
                weight_N4[:, 3] = p[OR] * both_LV[depth, self._dual[mask]]
            cumulative_N4 = np.cumsum(weight_N4, axis=1)
            total = cumulative_N4[:, -1]
            target = np.minimum(rng.random(len(mask)) * total, np.nextafter(total, 0))
            choice = (target[:, None] >= cumulative_N4[:, :-1]).sum(axis=1)
            symbol = np.where(choice == 0, leaf_V[mask], np.array([0, NOT, AND, OR])[choice])
            symbols.append(symbol)
            unary, binary = children(symbol)
            if depth == self._max_depth or not len(unary):
                break
            first, second = self._full ^ mask, np.zeros_like(mask)
            is_or = symbol[binary] == OR
            wanted = np.where(is_or, self._dual[mask[binary]], mask[binary])
            for child, drawn in zip((first, second), draw_pairs(value_LV[depth + 1], wanted, rng), strict=True):
                child[binary] = np.where(is_or, self._dual[drawn], drawn)
            mask = np.concatenate([first[unary], second[binary]])
        return symbols


def _possible_lengths(node_LS: np.ndarray) -> np.ndarray:
    """Which lengths the generator can write, true or not, bool."""
    below = np.zeros(0, bool)
    for p in node_LS[::-1]:
        here = np.zeros(2 * len(below) + 2, bool)
        here[1] = p[TRUE:].any()
        if p[AND] > 0:
            here[3 : 3 + len(below)] |= below
            here[3 : 2 + 2 * len(below)] |= np.convolve(below.astype(float), below) > 0.5
        below = here
    return below
