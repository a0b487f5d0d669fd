"""Parses and evaluates a batch of expressions, one symbol of all of them at a time.

The grammar is Python's: `or` binds weaker than `and`, `and` weaker than `not`, redundant brackets are
allowed. That is a pushdown automaton whose stack holds one *frame* per open bracket, and a frame has few
states, so a step for the whole batch is one table look-up. Without variables a truth table has one row, and
the frame carries its value. With variables the same automaton decides the syntax, and the values of all rows
go beside it as bit masks (see `masks`). The work is proportional to the symbols, and no input is too deep or
too long.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from logic.boolean.masks import full_mask, leaf_masks, rows_true
from logic.boolean.symbols import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE, VARIABLES, VOCAB_SIZE
from logic.ids import lengths


class Evaluation(NamedTuple):
    """Per expression, arrays of N."""

    syntactic: np.ndarray  # bool: one boolean expression by Python's grammar
    value: np.ndarray  # bool: it is true in every row of its table; False where not syntactic
    bracketed: np.ndarray  # bool: syntactic, and one pair of brackets around every operator and no other
    depth: np.ndarray  # int: deepest bracket nesting, of any sequence of symbols
    leaf_min: np.ndarray  # int: nesting of the shallowest leaf; a huge number without leaves
    leaf_max: np.ndarray  # int: nesting of the deepest leaf; -1 without leaves
    constants: np.ndarray  # bool: True or False occurs
    table: np.ndarray  # uint16: its truth table as a bit mask; 0 where not syntactic
    rows_true: np.ndarray  # float64: fraction of the table's rows that are true; 0 where not syntactic


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
_FRAME_CODES = 128  # a row of the tables
_OTHER = VOCAB_SIZE + len(VARIABLES)  # stands for every symbol of no language


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
    """read[symbol, frame] -> frame; closed[frame] -> value + 2 * bracketed; resume[closed, outer] -> frame."""
    read = np.full((_OTHER + 1, _FRAME_CODES), _ERROR, np.uint8)
    closed = np.full(_ERROR + 1, _UNFINISHED, np.uint8)
    resume = np.full((_UNFINISHED + 1, _FRAME_CODES), _ERROR, np.uint8)
    for i, frame in enumerate(_FRAMES):
        read[:, i] = [_index(_read(frame, symbol)) for symbol in range(_OTHER + 1)]
        if frame.complete:
            closed[i] = (frame.disjunction or frame.conjunction) + 2 * (frame.shape == "done")
        resume[:_UNFINISHED, i] = [_index(_operand(frame, bool(c & 1), bool(c & 2))) for c in range(4)]
    return read.ravel(), closed, resume.ravel()  # one index is faster than two


_READ, _CLOSED, _RESUME = _tables()
_CLOSED_ROW = _CLOSED.astype(np.uint16) * _FRAME_CODES
_SHAPE = np.array([_SHAPES.index(frame.shape) for frame in _FRAMES] + [-1])
_ALL, _UPPER = np.uint32(0xFFFFFFFF), np.uint32(0xFFFF0000)


@functools.cache
def _mask_tables(num_variables: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """read[symbol, frame] -> frame, a variable being read as True is; operand[symbol, frame] -> mask of a leaf, after
    the frame's `not`; negate[frame] -> full where a `not` waits.

    In operand the upper 16 bits are set, and all bits for the other symbols: they change nothing in an `and`.
    """
    full = full_mask(num_variables)
    read = _READ.reshape(_OTHER + 1, _FRAME_CODES).copy()
    read[VOCAB_SIZE : VOCAB_SIZE + num_variables] = read[TRUE]
    negate = np.zeros(_FRAME_CODES, np.uint32)
    negate[: len(_FRAMES)] = [full * frame.negate for frame in _FRAMES]
    operand = np.full((_OTHER + 1, _FRAME_CODES), _ALL, np.uint32)
    for symbol, mask in leaf_masks(num_variables).items():
        operand[symbol] = _UPPER | (mask ^ negate)
    return read.ravel(), operand.ravel(), negate


def nesting(flat_S: np.ndarray, length_N: np.ndarray) -> np.ndarray:
    """Number of brackets open before each symbol of the concatenated expressions, int32_S."""
    after_S = _nesting_after(flat_S, length_N)
    return after_S - (flat_S == OPEN) + (flat_S == CLOSE)


def _nesting_after(flat_S: np.ndarray, length_N: np.ndarray) -> np.ndarray:
    after_S = np.cumsum((flat_S == OPEN).view(np.int8) - (flat_S == CLOSE).view(np.int8), dtype=np.int32)
    before_N = np.append(np.int32(0), after_S)[np.cumsum(length_N) - length_N]
    return after_S - np.repeat(before_N, length_N)


class _Batch(NamedTuple):
    """Expressions one after another, and what the walk over them needs; longest first, so that those which still
    have a symbol at position j are always a prefix."""

    flat_S: np.ndarray  # symbols
    at: np.ndarray  # place of the first symbol of each
    active: list[int]  # how many have a symbol at position j
    place_S: np.ndarray  # place in the stack for each bracket
    places: int  # size of the stack
    state: np.ndarray  # the frame that each begins with


def _walk(batch: _Batch) -> np.ndarray:
    """The last frame of every expression."""
    at, state, place_S = batch.at.copy(), batch.state.copy(), batch.place_S
    stack = np.zeros(batch.places, np.uint8)
    read_S = batch.flat_S.astype(np.uint16) * _FRAME_CODES
    for n in batch.active:
        row = read_S.take(at[:n])
        before = state[:n]
        after = _READ.take(row + before)
        opens = np.flatnonzero(row == OPEN * _FRAME_CODES)
        stack[place_S[at[opens]]] = before[opens]
        closes = np.flatnonzero(row == CLOSE * _FRAME_CODES)
        after[closes] = _RESUME.take(_CLOSED_ROW[before[closes]] + stack[place_S[at[closes]]])
        state[:n] = after
        at[:n] += 1
    return state


def _walk_masks(batch: _Batch, num_variables: int, closed_S: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The last frame of every expression, and its truth table where it is syntactic.

    `terms` holds two masks an expression, of the open frame: the finished terms of the `or` in the upper half and
    the finished factors of the current term in the lower.
    """
    read, operand, negate = _mask_tables(num_variables)
    full = np.uint32(full_mask(num_variables))
    half = np.uint32(16)
    at, state, place_S = batch.at.copy(), batch.state.copy(), batch.place_S
    terms = np.full(len(state), full, np.uint32)
    stack, term_stack = np.zeros(batch.places, np.uint8), np.zeros(batch.places, np.uint32)
    read_S = batch.flat_S.astype(np.uint16) * _FRAME_CODES
    for n in batch.active:
        place = at[:n]
        row = read_S.take(place)
        before, term = state[:n], terms[:n]
        code = row + before
        after = read.take(code)
        term &= operand.take(code)
        ors = np.flatnonzero(row == OR * _FRAME_CODES)
        done = term[ors]
        term[ors] = ((done | done << half) & _UPPER) | full
        opens = np.flatnonzero(row == OPEN * _FRAME_CODES)
        where = place_S[place[opens]]
        stack[where] = before[opens]
        term_stack[where] = term[opens]
        term[opens] = full
        closes = np.flatnonzero(row == CLOSE * _FRAME_CODES)
        where = place_S[place[closes]]
        outer = stack[where]
        after[closes] = _RESUME.take(_CLOSED_ROW[before[closes]] + outer)
        done = term[closes]
        done = (done | done >> half) & full
        if closed_S is not None:
            closed_S[place[closes]] = done
        term[closes] = term_stack[where] & (_UPPER | (done ^ negate[outer]))
        state[:n] = after
        place += 1
    return state, ((terms | terms >> half) & full).astype(np.uint16)


def evaluate(expressions: Sequence[bytes], num_variables: int = 0, closed_S: np.ndarray | None = None) -> Evaluation:
    """Parses and evaluates every expression; any sequence of symbols is allowed.

    `closed_S`, if given, has a place for every symbol of the expressions one after another. The places of closing
    brackets receive the truth tables of what they close; in an expression that is not syntactic, any number.
    """
    N = len(expressions)
    vocabulary = VOCAB_SIZE + num_variables
    length_N = lengths(expressions)
    flat_S = np.minimum(np.frombuffer(b"".join(expressions), np.uint8), _OTHER)
    after_S = _nesting_after(flat_S, length_N)
    start_N = np.cumsum(length_N) - length_N
    nonempty = np.flatnonzero(length_N)

    def reduce(ufunc: np.ufunc, x_S: np.ndarray, empty: int) -> np.ndarray:
        """Reduces the symbols of every expression; int64_N, `empty` for those without any."""
        y_N = np.full(N, empty, np.int64)
        if len(nonempty):
            y_N[nonempty] = ufunc.reduceat(x_S, start_N[nonempty])
        return y_N

    depth_N = np.maximum(reduce(np.maximum, after_S, 0), 0)
    lowest_N = np.minimum(reduce(np.minimum, after_S, 0), 0)  # below zero: a bracket was closed that was never opened
    leaf_S = (flat_S >= TRUE) & (flat_S < vocabulary)
    none = np.iinfo(np.int32).max
    leaf_min_N = reduce(np.minimum, np.where(leaf_S, after_S, none), none)
    leaf_max_N = reduce(np.maximum, np.where(leaf_S, after_S, -1), -1)

    order = np.argsort(-length_N, kind="stable")
    # Every expression owns the places of its nestings, those below zero too: what is pushed there is never read.
    places_N = depth_N - lowest_N
    batch = _Batch(
        flat_S=flat_S,
        at=start_N[order],
        active=np.searchsorted(-length_N[order], -np.arange(length_N.max(initial=0)), side="left").tolist(),
        place_S=np.repeat(np.cumsum(places_N) - places_N - lowest_N, length_N) + after_S - (flat_S == OPEN),
        places=int(places_N.sum()),
        state=np.where(lowest_N[order] < 0, _ERROR, _START).astype(np.uint8),
    )
    final = np.empty_like(batch.state)
    table_N = np.zeros(N, np.uint16)
    if num_variables or closed_S is not None:
        final[order], table_N[order] = _walk_masks(batch, num_variables, closed_S)
    else:
        final[order] = _walk(batch)
        table_N[:] = _CLOSED[final] & 1
    open_at_end = np.zeros(N, bool)  # makes an expression incomplete
    open_at_end[nonempty] = after_S[(start_N + length_N - 1)[nonempty]] != 0
    closed = np.where(open_at_end, _UNFINISHED, _CLOSED[final])
    syntactic = closed != _UNFINISHED
    alone = (_SHAPE[final] == _SHAPES.index("left")) & syntactic  # outside all brackets stands one operand
    constants_N = leaf_max_N >= 0
    if num_variables:
        constants_N = reduce(np.maximum, (flat_S == TRUE) | (flat_S == FALSE), 0) > 0
    table_N *= syntactic
    return Evaluation(
        syntactic=syntactic,
        value=table_N == full_mask(num_variables),
        bracketed=alone,
        depth=depth_N,
        leaf_min=leaf_min_N,
        leaf_max=leaf_max_N,
        constants=constants_N,
        table=table_N,
        rows_true=rows_true(table_N, num_variables),
    )
