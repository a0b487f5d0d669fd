"""The prefix tree of a set of expressions, as arrays: from weights of expressions to conditionals of symbols and back.

Axes: U distinct expressions, L their longest + 1, N nodes, B of them with children, V vocabulary.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from loop.learners.sharpen import sharpen
from model.config import SampleConfig

_TIE = 1e-11  # nats; log-masses that are this close are equal up to rounding


class PrefixTree:
    """Prefixes of all expressions after which something was chosen; a leaf is an expression with its `<eos>`, or cut.

    Where only one symbol can follow a prefix nothing is chosen, and no node stands for the longer one. Nodes are
    numbered by the choices above them, siblings side by side. All work is proportional to their number.
    """

    def __init__(self, expressions: Sequence[bytes], context_length: int) -> None:
        """`expressions` are cut at context_length symbols, as samples are; equal ones become one."""
        if context_length < 1:
            raise ValueError(f"context_length = {context_length}: allowed are integers from 1")
        self.expressions = sorted({e[:context_length] for e in expressions})
        if not self.expressions:
            raise ValueError("expressions: at least one is needed")
        symbol, parent, levels, leaf_U = _prefixes(self.expressions, context_length)
        chosen = np.bincount(parent[1:], minlength=len(parent))[parent] > 1
        chosen[0] = True  # the root, which has no siblings
        node = np.arange(len(parent))  # that stands for each prefix: the last one that was chosen
        choices = np.zeros(len(parent), np.int64)
        for level in levels[1:]:
            node[level] = np.where(chosen[level], node[level], node[parent[level]])
            choices[level] = choices[parent[level]] + chosen[level]
        kept = np.flatnonzero(chosen)
        kept = kept[np.argsort(choices[kept], kind="stable")]
        number = np.zeros(len(parent), np.int64)
        number[kept] = np.arange(len(kept))
        self._symbol_N = symbol[kept]
        self._parent_N = number[node[parent[kept]]]
        self._leaf_U = number[node[leaf_U]]
        self._levels = _slices(np.bincount(choices[kept]))[1:]  # without the root
        self._row_N = np.unique(self._parent_N, return_inverse=True)[1]  # siblings are a row of a table

    def sharpen(self, log_weight_U: np.ndarray, config: SampleConfig) -> np.ndarray:
        """Log-probability of every expression when the conditionals of these weights are sharpened, float64_U.

        Args:
          log_weight_U: log-masses of `expressions`, in their order, up to a constant; minus infinity is allowed.
        """
        log_mass_N = self._log_mass(log_weight_U)
        log_p_N = np.zeros(len(log_mass_N))
        if self._levels:
            below = slice(1, None)  # without the root
            row, symbol = self._row_N[below], self._symbol_N[below]
            logits_BV = np.full((int(row.max()) + 1, int(symbol.max()) + 1), -np.inf)
            logits_BV[row, symbol] = log_mass_N[below]
            logits_BV[np.isneginf(logits_BV).all(axis=1)] = 0.0  # below a node without mass: never looked at
            log_p_N[below] = sharpen(_merge_ties(logits_BV), config)[row, symbol]
        for level in self._levels:
            log_p_N[level] += log_p_N[self._parent_N[level]]
        return log_p_N[self._leaf_U]

    def _log_mass(self, log_weight_U: np.ndarray) -> np.ndarray:
        """Log-mass below every node but the root."""
        log_mass_N = np.full(len(self._parent_N), -np.inf)
        log_mass_N[self._leaf_U] = log_weight_U
        for level in self._levels[:0:-1]:
            parent, log_mass = self._parent_N[level], log_mass_N[level]
            starts = np.flatnonzero(np.diff(parent, prepend=-1))
            greatest = np.maximum.reduceat(log_mass, starts)
            shift = np.where(np.isneginf(greatest), 0.0, greatest)
            siblings = np.diff(np.append(starts, len(parent)))
            total = np.add.reduceat(np.exp(log_mass - np.repeat(shift, siblings)), starts)
            with np.errstate(divide="ignore"):
                log_mass_N[parent[starts]] = shift + np.log(total)
        return log_mass_N


def _slices(sizes: np.ndarray) -> list[slice]:
    """One after another."""
    bounds = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(bounds)]


def _prefixes(expressions: list[bytes], context_length: int) -> tuple[np.ndarray, np.ndarray, list[slice], np.ndarray]:
    """All prefixes of sorted, distinct expressions, level by level: last symbol, parent, levels; that of each leaf."""
    U, length_U = len(expressions), np.array([len(e) for e in expressions], np.int64)
    L = int(length_U.max()) + 1
    ids_UL = np.zeros((U, L), np.uint8)
    ids_UL[np.arange(L) < length_U[:, None]] = np.frombuffer(b"".join(expressions), np.uint8)
    end_U = np.minimum(length_U + 1, context_length)  # what fills the context is cut, and has no `<eos>`
    shared_U = np.zeros(U, np.int64)  # symbols in common with the expression before
    shared_U[1:] = (ids_UL[1:] != ids_UL[:-1]).argmax(axis=1)
    is_new_UL = (np.arange(L) >= shared_U[:, None]) & (np.arange(L) < end_U[:, None])
    column, first = np.nonzero(is_new_UL.T)  # of every prefix but the empty one: its last place, its first expression
    levels = _slices(np.append(1, is_new_UL.sum(axis=0)))
    first = np.append(0, first)
    symbol = np.append(np.uint8(0), ids_UL[first[1:], column])
    parent, leaf_U = np.zeros(len(first), np.int64), np.zeros(U, np.int64)
    for j, (above, level) in enumerate(itertools.pairwise(levels), start=1):
        parent[level] = above.start + np.searchsorted(first[above], first[level], side="right") - 1
        ended = np.flatnonzero(end_U == j)
        leaf_U[ended] = level.start + np.searchsorted(first[level], ended)
    return symbol, parent, levels, leaf_U


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
