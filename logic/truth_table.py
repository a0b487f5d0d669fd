"""Parses and evaluates a batch of expressions, one symbol of all of them at a time.

The grammar is Python's: `or` binds weaker than `and`, `and` weaker than `not`, redundant brackets are
allowed. That is a pushdown automaton whose stack holds one *frame* per open bracket, and a frame has few
states, so a step for the whole batch is one table look-up. Without variables a truth table has one row;
the frame carries its value. The work is proportional to the symbols, and no input is too deep or too long.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from logic.symbols import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE, UNKNOWN, lengths


class Evaluation(NamedTuple):
    """Per expression, arrays of N."""

    syntactic: np.ndarray  # bool: one boolean expression by Python's grammar
    value: np.ndarray  # bool: its value; False where not syntactic
    bracketed: np.ndarray  # bool: syntactic, and one pair of brackets around every operator and no other
    depth: np.ndarray  # int: deepest bracket nesting, of any sequence of symbols
    leaf_min: np.ndarray  # int: nesting of the shallowest constant; a huge number without constants
    leaf_max: np.ndarray  # int: nesting of the deepest constant; -1 without constants


class _Frame(NamedTuple):
    """What has been read since an open bracket."""

    complete: bool = False  # an operand is complete: an operator or the end may follow
    disjunction: bool = False  # value of the finished terms of the `or`
    conjunction: bool = True  # value of the finished factors of the current term
    negate: bool = False  # an odd number of `not` waits for its operand
    shape: str = "empty"  # progress through `not X` or `X op X`


_SHAPES = ("empty", "not", "left", "operator", "done", "irregular")
_FRAMES = [_Frame(a, b, c, d, shape) for a, b, c, d in itertools.product((False, True), repeat=4) for shape in _SHAPES]
_INDEX = {frame: i for i, frame in enumerate(_FRAMES)}
_ERROR = len(_FRAMES)
_START = _INDEX[_Frame()]


def _operand(frame: _Frame, value: bool, bracketed: bool) -> _Frame | None:
    """The frame after one whole operand; None where an operand cannot stand."""
    if frame.complete:
        return None
    shape = {"empty": "left", "not": "done", "operator": "done"}.get(frame.shape, "irregular")
    return frame._replace(
        complete=True,
        conjunction=frame.conjunction and value != frame.negate,
        negate=False,
        shape=shape if bracketed else "irregular",
    )


def _read(frame: _Frame, symbol: int) -> _Frame | None:
    """The frame after a symbol other than a closing bracket; None for a syntax error."""
    if symbol in (TRUE, FALSE):
        return _operand(frame, symbol == TRUE, bracketed=True)
    if symbol == NOT and not frame.complete:
        return frame._replace(negate=not frame.negate, shape="not" if frame.shape == "empty" else "irregular")
    if symbol in (AND, OR) and frame.complete:
        frame = frame._replace(complete=False, shape="operator" if frame.shape == "left" else "irregular")
        if symbol == OR:
            frame = frame._replace(disjunction=frame.disjunction or frame.conjunction, conjunction=True)
        return frame
    if symbol == OPEN and not frame.complete:
        return _Frame()
    return None


def _index(frame: _Frame | None) -> int:
    return _ERROR if frame is None else _INDEX[frame]


_UNFINISHED = 4  # a closing bracket, or the end, where an operand is still missing


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """read[frame, symbol] -> frame; closed[frame] -> value + 2 * bracketed; resume[outer, closed] -> frame."""
    read = np.full((_ERROR + 1, UNKNOWN + 1), _ERROR, np.uint8)
    closed = np.full(_ERROR + 1, _UNFINISHED, np.uint8)
    resume = np.full((_ERROR + 1, _UNFINISHED + 1), _ERROR, np.uint8)
    for i, frame in enumerate(_FRAMES):
        read[i] = [_index(_read(frame, symbol)) for symbol in range(UNKNOWN + 1)]
        if frame.complete:
            closed[i] = (frame.disjunction or frame.conjunction) + 2 * (frame.shape == "done")
        resume[i, :_UNFINISHED] = [_index(_operand(frame, bool(c & 1), bool(c & 2))) for c in range(4)]
    return read, closed, resume


_READ, _CLOSED, _RESUME = _tables()
_SHAPE = np.array([_SHAPES.index(frame.shape) for frame in _FRAMES] + [-1])


def nesting(flat_S: np.ndarray, length_N: np.ndarray) -> np.ndarray:
    """Number of brackets open before each symbol of the concatenated expressions, int32_S."""
    change_S = (flat_S == OPEN).astype(np.int32) - (flat_S == CLOSE)
    before_S = np.cumsum(change_S, dtype=np.int32) - change_S
    nonempty = length_N > 0
    start_N = (np.cumsum(length_N) - length_N)[nonempty]
    return before_S - np.repeat(before_S[start_N], length_N[nonempty])


def evaluate(expressions: Sequence[bytes]) -> Evaluation:
    """Parses and evaluates every expression; any sequence of symbols is allowed."""
    N = len(expressions)
    length_N = lengths(expressions)
    flat_S = np.minimum(np.frombuffer(b"".join(expressions), np.uint8), UNKNOWN)
    nesting_S = nesting(flat_S, length_N)
    row_S = np.repeat(np.arange(N), length_N)

    depth_N = np.zeros(N, np.int64)
    np.maximum.at(depth_N, row_S, nesting_S + (flat_S == OPEN))
    leaves = np.flatnonzero((flat_S == TRUE) | (flat_S == FALSE))
    leaf_min_N, leaf_max_N = np.full(N, np.iinfo(np.int64).max), np.full(N, -1)
    np.minimum.at(leaf_min_N, row_S[leaves], nesting_S[leaves])
    np.maximum.at(leaf_max_N, row_S[leaves], nesting_S[leaves])
    lowest_N = np.zeros(N, np.int64)  # below zero: a bracket was closed that was never opened
    np.minimum.at(lowest_N, row_S, nesting_S - (flat_S == CLOSE))

    # Longest first: the expressions that still have a symbol at position j are then always a prefix.
    order = np.argsort(-length_N, kind="stable")
    start = (np.cumsum(length_N) - length_N)[order]
    active = np.searchsorted(-length_N[order], -np.arange(length_N.max(initial=0)), side="left")
    stack = np.zeros(int(depth_N.sum()), np.uint8)  # every expression owns as many places as its depth
    base = (np.cumsum(depth_N) - depth_N)[order]
    state = np.where(lowest_N[order] < 0, _ERROR, _START).astype(np.uint8)
    for j, n in enumerate(active.tolist()):
        at = start[:n] + j
        symbol = flat_S[at]
        before = state[:n]
        after = _READ[before, symbol]
        # After an error nothing is pushed: below nesting zero the place would be another expression's.
        opens = np.flatnonzero((symbol == OPEN) & (before != _ERROR))
        stack[base[opens] + nesting_S[at[opens]]] = before[opens]
        closes = np.flatnonzero((symbol == CLOSE) & (before != _ERROR))
        outer = stack[base[closes] + nesting_S[at[closes]] - 1]
        after[closes] = _RESUME[outer, _CLOSED[before[closes]]]
        state[:n] = after

    final = np.empty_like(state)
    final[order] = state
    last_N = np.cumsum(length_N) - 1  # an open bracket left at the end makes an expression incomplete
    open_at_end = np.zeros(N, bool)
    full = length_N > 0
    change_S = (flat_S == OPEN).astype(np.int32) - (flat_S == CLOSE)
    open_at_end[full] = (nesting_S + change_S)[last_N[full]] != 0
    closed = np.where(open_at_end, _UNFINISHED, _CLOSED[final])
    syntactic = closed != _UNFINISHED
    alone = (_SHAPE[final] == _SHAPES.index("left")) & syntactic  # outside all brackets stands one operand
    return Evaluation(syntactic, (closed & 1 == 1) & syntactic, alone, depth_N, leaf_min_N, leaf_max_N)
