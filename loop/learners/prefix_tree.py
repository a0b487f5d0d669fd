"""The prefix tree of a set of expressions, as arrays: from weights of expressions to conditionals of symbols and back.

Axes: U distinct expressions, L their longest + 1, N nodes, B nodes with several children, V vocabulary.
"""

from collections.abc import Sequence

import numpy as np

from loop.learners.sharpen import sharpen
from model.config import SampleConfig

_TIE = 1e-11  # nats; log-masses that are this close are equal up to rounding


class PrefixTree:
    """Nodes are the prefixes of all expressions; a leaf is an expression with its `<eos>`, or one cut at the context.

    Nodes are numbered level by level, and in a level in the order of the expressions, so that children of one node are
    neighbours. The work of every method is proportional to the nodes.
    """

    def __init__(self, expressions: Sequence[bytes], context_length: int) -> None:
        """`expressions` are cut at context_length symbols, as samples are; equal ones become one."""
        self.expressions = sorted({e[:context_length] for e in expressions})
        U, length_U = len(self.expressions), np.array([len(e) for e in self.expressions], np.int64)
        if not U:
            raise ValueError("expressions: at least one is needed")
        L = int(length_U.max()) + 1
        ids_UL = np.zeros((U, L), np.uint8)
        ids_UL[np.arange(L) < length_U[:, None]] = np.frombuffer(b"".join(self.expressions), np.uint8)
        # Level j holds prefixes of j symbols. What fills the context is cut, and has no `<eos>`.
        end_U = np.minimum(length_U + 1, context_length)
        shared_U = np.zeros(U, np.int64)  # symbols in common with the expression before
        shared_U[1:] = (ids_UL[1:] != ids_UL[:-1]).argmax(axis=1)
        column_L = np.arange(L)
        is_new_UL = (column_L >= shared_U[:, None]) & (column_L < end_U[:, None])
        level, first = np.nonzero(is_new_UL.T)  # of every node but the root: its column, its first expression
        self._bounds = np.concatenate([[0, 1], 1 + np.cumsum(is_new_UL.sum(axis=0))])  # nodes of level j: j to j + 1
        self._symbol_N = np.append(np.uint8(0), ids_UL[first, level])
        self._parent_N = np.zeros(len(level) + 1, np.int64)
        self._leaf_U = np.zeros(U, np.int64)
        for j in range(1, L + 1):
            start, above = self._bounds[j], self._bounds[j - 1]
            first_of_nodes = first[start - 1 : self._bounds[j + 1] - 1]
            first_above = first[above - 1 : start - 1] if j > 1 else np.zeros(1, np.int64)
            self._parent_N[start : self._bounds[j + 1]] = (
                above + np.searchsorted(first_above, first_of_nodes, side="right") - 1
            )
            ended = np.flatnonzero(end_U == j)
            self._leaf_U[ended] = start + np.searchsorted(first_of_nodes, ended)
        if context_length == 0:
            raise ValueError("context_length = 0: allowed are integers from 1")
        siblings_N = np.bincount(self._parent_N[1:], minlength=len(self._parent_N))[self._parent_N]
        siblings_N[0] = 1
        self._branch = np.flatnonzero(siblings_N > 1)  # nodes that have siblings
        self._row = np.unique(self._parent_N[self._branch], return_inverse=True)[1]

    def sharpen(self, log_weight_U: np.ndarray, config: SampleConfig) -> np.ndarray:
        """Log-probability of every expression when the conditionals of these weights are sharpened, float64_U.

        Args:
          log_weight_U: log-masses of `expressions`, in their order, up to a constant; minus infinity is allowed.
        """
        log_mass_N = self._log_mass(log_weight_U)
        conditional_N = np.zeros(len(log_mass_N))
        if len(self._branch):
            V = int(self._symbol_N.max()) + 1
            logits_BV = np.full((int(self._row[-1]) + 1, V), -np.inf)
            logits_BV[self._row, self._symbol_N[self._branch]] = log_mass_N[self._branch]
            empty_B = np.isneginf(logits_BV).all(axis=1)  # below a node without mass: its conditionals never count
            logits_BV[empty_B] = 0.0
            log_p_BV = sharpen(_merge_ties(logits_BV), config)
            conditional_N[self._branch] = log_p_BV[self._row, self._symbol_N[self._branch]]
        for j in range(1, len(self._bounds) - 1):
            nodes = slice(self._bounds[j], self._bounds[j + 1])
            conditional_N[nodes] += conditional_N[self._parent_N[nodes]]
        return conditional_N[self._leaf_U]

    def _log_mass(self, log_weight_U: np.ndarray) -> np.ndarray:
        """Log-mass below every node."""
        log_mass_N = np.full(len(self._parent_N), -np.inf)
        log_mass_N[self._leaf_U] = log_weight_U
        for j in range(len(self._bounds) - 2, 0, -1):
            nodes = slice(self._bounds[j], self._bounds[j + 1])
            parent = self._parent_N[nodes]
            starts = np.flatnonzero(np.diff(parent, prepend=-1))
            greatest = np.maximum.reduceat(log_mass_N[nodes], starts)
            shift = np.where(np.isneginf(greatest), 0.0, greatest)
            children = np.diff(np.append(starts, len(parent)))
            total = np.add.reduceat(np.exp(log_mass_N[nodes] - np.repeat(shift, children)), starts)
            with np.errstate(divide="ignore"):
                log_mass_N[parent[starts]] = shift + np.log(total)
        return log_mass_N


def _merge_ties(logits_BV: np.ndarray) -> np.ndarray:
    """Makes equal what differs by rounding: greedy choice, top-k and top-p treat ties by rules of their own.

    Without that, repeated sharpening would also blow up a difference that is none.
    """
    order_BV = np.argsort(-logits_BV, axis=1, kind="stable")
    descending_BV = np.take_along_axis(logits_BV, order_BV, axis=1)
    with np.errstate(invalid="ignore"):  # of two that have no mass
        is_lower_BV = descending_BV[:, 1:] < descending_BV[:, :-1] - _TIE
    place_BV = np.arange(logits_BV.shape[1]) * np.pad(is_lower_BV, ((0, 0), (1, 0)))
    leader_BV = np.maximum.accumulate(place_BV, axis=1)
    merged_BV = np.empty_like(logits_BV)
    np.put_along_axis(merged_BV, order_BV, np.take_along_axis(descending_BV, leader_BV, axis=1), axis=1)
    return merged_BV
