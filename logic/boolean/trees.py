"""Expressions as trees: their root, their subtrees, and what is equal modulo the order of operands."""

from collections.abc import Sequence

import numpy as np

from logic.boolean.masks import full_mask, leaf_masks
from logic.boolean.symbols import AND, CLOSE, NOT, OPEN, OR, TRUE, VARIABLES, VOCAB_SIZE
from logic.boolean.truth_table import evaluate, nesting
from logic.ids import lengths

_BINARY = (bytes([AND]), bytes([OR]))


def commutative_form(expression: bytes) -> bytes:
    """A fully bracketed expression with the operands of every `and` and `or` in order: equal for equal trees modulo
    commutativity. Any other sequence of symbols is returned as it is."""
    frames: list[list[bytes]] = [[]]
    for symbol in expression:
        if symbol == OPEN:
            frames.append([])
        elif symbol != CLOSE:
            frames[-1].append(bytes([symbol]))
        elif len(frames) > 1:
            parts = frames.pop()
            if len(parts) == 3 and parts[1] in _BINARY and _is_operand(parts[0]) and _is_operand(parts[2]):
                parts = [min(parts[0], parts[2]), parts[1], max(parts[0], parts[2])]
            elif len(parts) != 2 or parts[0] != bytes([NOT]) or not _is_operand(parts[1]):
                return expression
            frames[-1].append(bytes([OPEN]) + b"".join(parts) + bytes([CLOSE]))
        else:
            return expression
    return frames[0][0] if len(frames) == 1 and len(frames[0]) == 1 else expression


def _is_operand(part: bytes) -> bool:
    return len(part) > 1 or TRUE <= part[0] < VOCAB_SIZE + len(VARIABLES)  # in brackets, or a leaf


def root_operator(expressions: Sequence[bytes]) -> np.ndarray:
    """The operator inside the outermost bracket of fully bracketed expressions, a symbol id; 0 for a leaf."""
    length_N = lengths(expressions)
    flat_S = np.frombuffer(b"".join(expressions), np.uint8)
    is_root = np.isin(flat_S, (AND, OR, NOT)) & (nesting(flat_S, length_N) == 1)
    roots = np.zeros(len(expressions), np.int64)
    roots[np.repeat(np.arange(len(expressions)), length_N)[is_root]] = flat_S[is_root]
    return roots


def subtree_counts(expressions: Sequence[bytes], num_variables: int) -> np.ndarray:
    """Number of subtrees with each truth table, by its bit mask, int64 of 2**(2**num_variables).

    Whole expressions and leaves count as subtrees. Expressions that are not fully bracketed are left out. Under the
    real distribution an expression has `Grammar.subtree_counts` of them on average.
    """
    flat_S = np.frombuffer(b"".join(expressions), np.uint8)
    table_S = np.zeros(len(flat_S), np.uint16)
    bracketed_N = evaluate(expressions, num_variables, table_S).bracketed
    is_subtree = flat_S == CLOSE
    for symbol, mask in leaf_masks(num_variables).items():
        table_S[flat_S == symbol] = mask
        is_subtree |= flat_S == symbol
    is_subtree &= np.repeat(bracketed_N, lengths(expressions))
    return np.bincount(table_S[is_subtree], minlength=full_mask(num_variables) + 1)
