"""The grammar's family with free parameters: the probability of every production given a node's depth and its value.

The real distribution is a member. A maximum-likelihood fit is what a learner with the right inductive bias makes of a
training set: it is exact, it cannot write what is false, and what it loses is a production at a depth.

Axes: N samples, D depths, P productions, M values, V vocabulary (see `productions.py`).
"""

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from logic.boolean.productions import BINARY, Productions
from logic.boolean.symbols import AND, CLOSE, EOS, NOT, OPEN

# Where a walk stands in the innermost open bracket, or at the root.
_NODE, _OPENED, _OPERATOR, _CLOSE, _END = range(5)

Choose = Callable[[int, np.ndarray, np.ndarray], np.ndarray]  # (position, rows, log_p of the next symbol) -> symbols


def fit(
    samples: Sequence[bytes],
    in_support_N: np.ndarray,
    productions: Productions = Productions(),  # noqa: B008 (frozen)
) -> tuple["FittedGrammar", int]:
    """The most likely member of the family, and how many samples were left out since they are not in the support.

    Counts parses: only what is fully bracketed and true has one. Raises ValueError if no sample is left.
    """
    counts = Counter(itertools.compress(samples, in_support_N.tolist()))
    if not counts:
        raise ValueError(f"none of the {len(samples)} samples is in the language: its grammar cannot be fitted")
    node, depth, production = productions.parse(list(counts))
    weight = np.array(list(counts.values()), np.float64)[node]
    D, P = int(depth.max()) + 1, len(productions.value_P)
    count_DP = np.bincount(depth * P + production, weight, D * P).reshape(D, P)
    total_DM = np.stack([np.bincount(productions.value_P, row, productions.M) for row in count_DP])
    # A value that never occurs at a depth is never asked for there.
    p_DP = count_DP / np.maximum(total_DM, 1)[:, productions.value_P]
    return FittedGrammar(p_DP, productions), len(samples) - counts.total()


@dataclasses.dataclass(frozen=True, eq=False)
class FittedGrammar:
    """A distribution over true expressions; it writes them symbol by symbol, so that it can be sharpened."""

    p_DP: np.ndarray  # probability of each production at each depth given the node's value
    productions: Productions = dataclasses.field(default_factory=Productions)

    def log_likelihood(self, samples: Sequence[bytes], context_length: int) -> np.ndarray:
        """log P(e) in nats, float64_N, of samples that are cut at context_length symbols and have no end there."""
        N, T, V = len(samples), context_length, self.productions.V
        ids_NT = np.zeros((N, T + 1), np.int64)
        for row, e in zip(ids_NT, samples, strict=True):
            row[: min(len(e), T)] = np.frombuffer(e[:T], np.uint8)
        total_N = np.zeros(N)

        def read(j: int, going: np.ndarray, log_p_BV: np.ndarray) -> np.ndarray:
            symbol = ids_NT[going, j]
            known = np.minimum(symbol, V - 1)
            total_N[going] += np.where(symbol < V, log_p_BV[np.arange(len(going)), known], -np.inf)
            return np.where(np.isneginf(total_N[going]), EOS, known)

        self._walk(N, T, read)
        return total_N

    def write(self, n: int, context_length: int, choose: Callable[[np.ndarray], np.ndarray]) -> list[bytes]:
        """Writes n samples side by side, cut at context_length symbols.

        Args:
          choose: the next symbols, int_B, from exact log-probabilities, float64_BV: where sharpening comes in.
        """
        ids_NT = np.zeros((n, context_length), np.uint8)

        def put(j: int, going: np.ndarray, log_p_BV: np.ndarray) -> np.ndarray:
            symbol = choose(log_p_BV)
            ids_NT[going, j] = symbol
            return symbol

        self._walk(n, context_length, put)
        length_N = np.count_nonzero(ids_NT, axis=1)
        return [row[:length].tobytes() for row, length in zip(ids_NT, length_N.tolist(), strict=True)]

    @functools.cached_property
    def _first(self) -> np.ndarray:
        """first_DMM[d, v, x]: probability that a node of value v is binary with a first operand of value x."""
        g, M = self.productions, self.productions.M
        first_DMM = np.zeros((len(self.p_DP), M, M))
        for op in range(len(BINARY)):
            value_MM = g.value_P[g.binary(op)].reshape(M, M)
            both_DMM = self.p_DP[:, g.binary(op)].reshape(-1, M, M)
            for y in range(M):
                first_DMM[:, value_MM[:, y], np.arange(M)] += both_DMM[:, :, y]
        return first_DMM

    @functools.cached_property
    def _operator(self) -> np.ndarray:
        """operator_DM[d, v]: probability that a node of value v is no leaf."""
        g = self.productions
        inner_P = np.isin(g.symbol_P, (*BINARY, NOT))
        return np.stack([np.bincount(g.value_P, p_P * inner_P, g.M) for p_P in self.p_DP])

    def _second(self, alpha_BM: np.ndarray, depth_B: np.ndarray, op: int, first_B: np.ndarray) -> np.ndarray:
        """second_BM[b, y]: alpha of the second operand, given the operator and the value of the first one."""
        g, M = self.productions, self.productions.M
        place_BM = g.binary(op).start + first_B[:, None] * M + np.arange(M)
        value_BM = g.value_P[place_BM]
        return np.take_along_axis(alpha_BM, value_BM, axis=1) * self.p_DP[depth_B[:, None], place_BM]

    def _walk(self, n: int, context_length: int, choose: Choose) -> None:
        """Goes through n expressions, one symbol of all that have not ended at a time.

        The value of an open node is not known yet. What is known of it is alpha_M, the probability of each value
        together with what was written on the way to it, up to a factor that all values share. The probability of the
        next symbol is a sum over them. An operand that is complete has a value, and the next alpha depends on it.
        """
        g, M = self.productions, self.productions.M
        leaf_symbol = np.array([symbol for symbol, _ in g.leaves])
        leaf_value = np.full(g.V, -1)
        leaf_value[leaf_symbol] = [value for _, value in g.leaves]
        depth_N, state_N = np.zeros(n, np.int64), np.full(n, _NODE)  # depth: that of a node which begins here
        alpha_NDM = np.zeros((n, len(self.p_DP) + 2, M))
        alpha_NDM[:, 0, g.full] = 1.0
        # Of open nodes: the value of the first operand, in the end their own; the operator.
        known_ND, op_ND = (np.zeros(alpha_NDM.shape[:2], np.int64) for _ in range(2))

        def complete(rows: np.ndarray, value: np.ndarray) -> None:
            """A node at the rows' depth has ended: what that makes of the one around it."""
            state_N[rows[depth_N[rows] == 0]] = _END
            inside = depth_N[rows] > 0
            rows, value = rows[inside], value[inside]
            at = rows, depth_N[rows] - 1
            op, x = op_ND[at], known_ND[at]
            state_N[rows] = np.where(op == 0, _OPERATOR, _CLOSE)
            joined = np.where(op == AND, x & value, x | value)
            known_ND[at] = np.where(op == 0, value, np.where(op == NOT, g.full ^ value, joined))

        going = np.arange(n)
        for j in range(context_length):
            if not len(going):
                return
            state, depth = state_N[going], depth_N[going]
            weight_BV = np.zeros((len(going), g.V))
            opened = np.flatnonzero(state == _OPENED)
            at, d = going[opened], depth[opened] - 1
            outer = alpha_NDM[at, d]
            negated = outer[:, ::-1] * self.p_DP[d, g.negation()]  # full ^ x is full - x
            weight_BV[opened, NOT] = negated.sum(axis=1)
            alpha_NDM[at, d + 1] = np.einsum("bv,bvx->bx", outer, self._first[d])

            begins = np.flatnonzero((state == _OPENED) | (state == _NODE))
            at, d = going[begins], depth[begins]
            deep = d < len(self.p_DP)
            begins, at, d = begins[deep], at[deep], d[deep]
            weight_BV[begins, OPEN] = (alpha_NDM[at, d] * self._operator[d]).sum(axis=1)
            for i, (leaf, value) in enumerate(g.leaves):
                weight_BV[begins, leaf] = alpha_NDM[at, d, value] * self.p_DP[d, i]

            asks = np.flatnonzero(state == _OPERATOR)
            at, d = going[asks], depth[asks] - 1
            outer, first = alpha_NDM[at, d], known_ND[at, d]
            seconds = {symbol: self._second(outer, d, op, first) for op, symbol in enumerate(BINARY)}
            for operator, second_BM in seconds.items():
                weight_BV[asks, operator] = second_BM.sum(axis=1)
            weight_BV[state == _CLOSE, CLOSE] = 1.0
            weight_BV[state == _END, EOS] = 1.0
            with np.errstate(divide="ignore"):
                log_p_BV = np.log(weight_BV) - np.log(weight_BV.sum(axis=1, keepdims=True))
            symbol = choose(j, going, log_p_BV)

            # An operator that was chosen decides the alpha of the operand after it.
            for operator, second_BM in seconds.items():
                is_it = symbol[asks] == operator
                at, d = going[asks[is_it]], depth[asks[is_it]]
                alpha_NDM[at, d], op_ND[at, d - 1], state_N[at] = second_BM[is_it], operator, _NODE
            is_not = symbol[opened] == NOT
            at, d = going[opened[is_not]], depth[opened[is_not]]
            alpha_NDM[at, d], op_ND[at, d - 1], state_N[at] = negated[is_not], NOT, _NODE
            at = going[symbol == OPEN]
            op_ND[at, depth_N[at]], state_N[at] = 0, _OPENED
            depth_N[at] += 1
            at = going[symbol == CLOSE]
            depth_N[at] -= 1
            complete(at, known_ND[at, depth_N[at]])
            is_leaf = leaf_value[symbol] >= 0
            complete(going[is_leaf], leaf_value[symbol[is_leaf]])
            going = going[symbol != EOS]
