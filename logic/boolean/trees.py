"""Expressions as trees: their root, and what is equal modulo the order of operands."""

from collections.abc import Sequence

import numpy as np

from logic.boolean.symbols import AND, CLOSE, NOT, OPEN, OR
from logic.boolean.truth_table import nesting
from logic.ids import lengths


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
            if len(parts) == 3 and parts[1] in (bytes([AND]), bytes([OR])):
                parts = [min(parts[0], parts[2]), parts[1], max(parts[0], parts[2])]
            elif len(parts) != 2 or parts[0] != bytes([NOT]):
                return expression
            frames[-1].append(bytes([OPEN]) + b"".join(parts) + bytes([CLOSE]))
        else:
            return expression
    return frames[0][0] if len(frames) == 1 and len(frames[0]) == 1 else expression


def root_operator(expressions: Sequence[bytes]) -> np.ndarray:
    """The operator inside the outermost bracket of fully bracketed expressions, a symbol id; 0 for a constant."""
    length_N = lengths(expressions)
    flat_S = np.frombuffer(b"".join(expressions), np.uint8)
    is_root = np.isin(flat_S, (AND, OR, NOT)) & (nesting(flat_S, length_N) == 1)
    roots = np.zeros(len(expressions), np.int64)
    roots[np.repeat(np.arange(len(expressions)), length_N)[is_root]] = flat_S[is_root]
    return roots
