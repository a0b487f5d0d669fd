"""Boolean expressions as a grammar whose productions know the values of what they join.

A value is a truth table as a bit mask: with one row 0 or 1, with 2^k rows one of M = 2^(2^k). A production writes a
leaf, `(not X)` with a value for X, or `(X and Y)`, `(X or Y)` with a value for each; that gives the value of the node.

Axes: P productions, M values, N expressions.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from logic.boolean.masks import full_mask, leaf_masks
from logic.boolean.symbols import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE
from logic.ids import pad

BINARY = (AND, OR)  # in the order of their productions
MOST_VARIABLES = 2  # of which M * M productions are counted at every depth


@dataclasses.dataclass(frozen=True)
class Productions:
    """All productions, numbered: leaves, then `not` by its operand, `and` and `or` by both of theirs."""

    leaves: tuple[tuple[int, int], ...] = ((TRUE, 1), (FALSE, 0))  # (symbol, value)
    full: int = 1  # the value that is true in every row

    @classmethod
    def of(cls, num_variables: int, constants: bool = True) -> "Productions":
        """Those of a language. Raises ValueError for more variables than two: the square of M is too many."""
        if num_variables > MOST_VARIABLES:
            raise ValueError(
                f"language.num_variables = {num_variables}: the grammar learner is for at most {MOST_VARIABLES}"
            )
        return cls(tuple(leaf_masks(num_variables, constants).items()), full_mask(num_variables))

    @property
    def M(self) -> int:  # noqa: N802 (an axis)
        """Number of values."""
        return self.full + 1

    @property
    def V(self) -> int:  # noqa: N802 (an axis)
        """Number of symbols, `<eos>` included."""
        return max(symbol for symbol, _ in self.leaves) + 1

    @functools.cached_property
    def symbol_P(self) -> np.ndarray:  # noqa: N802
        """The symbol that names each production, int64_P."""
        named = [symbol for symbol, _ in self.leaves] + [NOT] * self.M
        return np.concatenate([named, np.repeat(BINARY, self.M**2)]).astype(np.int64)

    @functools.cached_property
    def value_P(self) -> np.ndarray:  # noqa: N802
        """The value of a node that was made by each production, int64_P."""
        x = np.arange(self.M)
        binary = [(x[:, None] & x).ravel(), (x[:, None] | x).ravel()]
        return np.concatenate([[value for _, value in self.leaves], self.full ^ x, *binary]).astype(np.int64)

    def negation(self) -> slice:
        """Where the productions of `not` are: an array of M by the operand's value."""
        return slice(len(self.leaves), len(self.leaves) + self.M)

    def binary(self, op: int) -> slice:
        """Where those of BINARY[op] are: as an array of M x M by the values of the operands."""
        start = len(self.leaves) + self.M + op * self.M**2
        return slice(start, start + self.M**2)

    def parse(self, expressions: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nodes of fully bracketed expressions: int64 arrays of which expression, its depth, its production.

        Walks all expressions side by side. What is not fully bracketed, or is no expression, must not be given.
        """
        ids_NL = pad(expressions)
        N, L = ids_NL.shape
        # Per open bracket: values of its operands and its operator, 0 and 1 for BINARY and 2 for `not`.
        deepest = int((np.cumsum((ids_NL == OPEN).astype(int) - (ids_NL == CLOSE), axis=1)).max(initial=0)) + 1
        first, second, op = (np.full((N, deepest + 1), -1, np.int64) for _ in range(3))
        depth_N = np.zeros(N, np.int64)  # brackets that are open
        leaf = np.full(256, -1)
        leaf[[symbol for symbol, _ in self.leaves]] = np.arange(len(self.leaves))
        operator = np.full(256, -1)
        operator[[*BINARY, NOT]] = 0, 1, 2
        found = []
        for j in range(L):
            symbol_N = ids_NL[:, j]
            opens = np.flatnonzero(symbol_N == OPEN)
            depth_N[opens] += 1
            op[opens, depth_N[opens]] = -1
            named = np.flatnonzero(operator[symbol_N] >= 0)
            op[named, depth_N[named]] = operator[symbol_N[named]]
            closes = np.flatnonzero(symbol_N == CLOSE)
            at = closes, depth_N[closes]
            is_not = op[at] == 2
            offset = np.where(is_not, self.negation().start, self.binary(0).start + op[at] * self.M**2)
            closed = offset + np.where(is_not, second[at], first[at] * self.M + second[at])
            depth_N[closes] -= 1
            leaves = np.flatnonzero(leaf[symbol_N] >= 0)
            ended = np.concatenate([closes, leaves])  # a node ends here
            production = np.concatenate([closed, leaf[symbol_N[leaves]]])
            found.append((ended, depth_N[ended], production))
            # Its value is the last operand of the bracket around it: the second one after an operator.
            value, outer = self.value_P[production], (ended, depth_N[ended])
            is_first = op[outer] < 0
            first[outer] = np.where(is_first, value, first[outer])
            second[outer] = np.where(is_first, second[outer], value)
        parts = zip(*found, strict=True) if found else [[np.zeros(0, np.int64)]] * 3
        expression, depth, production = (np.concatenate(part) for part in parts)
        return expression, depth, production
