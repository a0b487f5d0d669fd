"""Evaluation of what is too long or too deep for Python's own parser, and of hostile neighbours in a batch."""

import random

import numpy as np
import pytest

from logic.boolean.symbols import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE, UNKNOWN, encode
from logic.boolean.truth_table import evaluate

BINDING = {OR: 1, AND: 2, NOT: 3}


def shunting_yard(expression: bytes) -> bool | None:
    """The value by Dijkstra's algorithm, without recursion; None where not an expression."""
    values: list[bool] = []
    operators: list[int] = []
    want_operand = True

    def apply() -> None:
        operator = operators.pop()
        b = values.pop()
        values.append(not b if operator == NOT else (values.pop() & b) if operator == AND else values.pop() | b)

    for symbol in expression:
        if symbol in (TRUE, FALSE, NOT, OPEN):
            if not want_operand:
                return None
            if symbol in (NOT, OPEN):
                operators.append(symbol)
            else:
                values.append(symbol == TRUE)
                want_operand = False
        elif symbol in (AND, OR, CLOSE):
            if want_operand:
                return None
            while operators and operators[-1] != OPEN and BINDING[operators[-1]] >= BINDING.get(symbol, 0):
                apply()
            if symbol != CLOSE:
                operators.append(symbol)
                want_operand = True
            elif not operators:
                return None
            else:
                operators.pop()
        else:
            return None
    if want_operand or OPEN in operators:
        return None
    while operators:
        apply()
    return values[0]


def random_expression(rng: random.Random, size: int, opening: float) -> bytes:
    """A valid expression of about `size` symbols; the higher `opening`, the deeper."""
    out: list[int] = []
    depth = 0
    while True:
        while rng.random() < opening and len(out) < size:
            symbol = rng.choice((OPEN, OPEN, NOT))
            out.append(symbol)
            depth += symbol == OPEN
        out.append(rng.choice((TRUE, FALSE)))
        while depth and (len(out) >= size or rng.random() < 0.4):
            out.append(CLOSE)
            depth -= 1
        if len(out) >= size and not depth:
            return bytes(out)
        out.append(rng.choice((AND, OR)))


def check(expressions: list[bytes]) -> np.ndarray:
    """Compares with the oracle; returns which are syntactic."""
    e = evaluate(expressions)
    expected = [shunting_yard(x) for x in expressions]
    np.testing.assert_array_equal(e.syntactic, [x is not None for x in expected])
    np.testing.assert_array_equal(e.value, [bool(x) for x in expected])
    return e.syntactic


def test_random_long_and_deep_expressions():
    rng = random.Random(0)
    whole = [random_expression(rng, size, rng.choice((0.3, 0.6, 0.95))) for size in [10, 100, 1000, 5000] * 50]
    assert check(whole).all()
    assert evaluate(whole).depth.max() > 500
    broken = []
    for x in whole:
        i = rng.randrange(len(x))
        broken.append(x[:i] + bytes([rng.randint(1, 7)]) + x[i + rng.randint(0, 1) :])
    assert 0.02 < check(broken).mean() < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("depth", [20_000, 20_001])
def test_depth_has_no_limit(depth):
    nots = bytes([NOT] * (5 * depth) + [TRUE])
    brackets = bytes([OPEN] * depth + [TRUE] + [CLOSE] * depth)
    bracketed_nots = bytes([OPEN, NOT] * depth + [TRUE] + [CLOSE] * depth)
    chain = bytes([OPEN, FALSE, OR] * depth + [TRUE] + [CLOSE] * depth)
    e = evaluate([nots, brackets, bracketed_nots, chain, chain[:-1], chain + bytes([CLOSE])])
    even = depth % 2 == 0
    assert e.syntactic.tolist() == [True, True, True, True, False, False]
    assert e.value.tolist() == [even, True, even, True, False, False]
    assert e.bracketed.tolist() == [False, False, True, True, False, False]
    assert e.depth.tolist() == [0, depth, depth, depth, depth, depth]
    assert e.leaf_max.tolist()[:4] == [0, depth, depth, depth]
    assert e.leaf_min.tolist()[:4] == [0, depth, depth, 1]


@pytest.mark.slow
def test_long_nonsense():
    symbols = [OPEN, CLOSE, AND, NOT, TRUE, UNKNOWN]
    e = evaluate([bytes([symbol]) * 200_000 for symbol in symbols])
    assert not e.syntactic.any() and not e.value.any() and not e.bracketed.any()
    assert e.depth.tolist() == [200_000, 0, 0, 0, 0, 0]


def test_an_expression_does_not_see_its_neighbours():
    """Closing brackets that were never opened must not reach into the stack of the expression before."""
    good = encode(["(((((True)))))", "(not (False and (True or False)))", "True"])
    hostile = encode([")))(((", ")(", "((((", "))))))))))))(True)((((", "(True))(", ""])
    alone = [evaluate([x]) for x in good + hostile]
    rng = random.Random(0)
    for _ in range(200):
        order = [rng.randrange(len(alone)) for _ in range(12)]
        together = evaluate([(good + hostile)[i] for i in order])
        for name, column in together._asdict().items():
            assert column.tolist() == [getattr(alone[i], name)[0] for i in order], name


def test_all_short_strings():
    """All strings of up to five symbols, those outside the vocabulary included."""
    strings = [b""]
    for _ in range(5):
        strings += [x + bytes([s]) for x in strings for s in range(1, 9) if len(x) == len(strings[-1])]
    assert len(strings) == sum(8**k for k in range(6))
    assert check(strings).sum() > 100


def substituted(expressions: list[bytes], num_variables: int) -> np.ndarray:
    """Truth tables by evaluating every row on its own, with constants in the place of the variables; uint16_N."""
    table = np.zeros(len(expressions), np.uint16)
    for row in range(1 << num_variables):
        constants = bytes(TRUE if row >> i & 1 else FALSE for i in range(num_variables))
        translation = bytes.maketrans(bytes(range(8, 8 + num_variables)), constants)
        value = evaluate([x.translate(translation) for x in expressions]).value
        table |= value.astype(np.uint16) << row
    return table


def with_variables(expression: bytes, rng: random.Random, num_variables: int) -> bytes:
    """Some of the constants replaced by variables."""
    leaves = [TRUE, FALSE, *[*range(8, 8 + num_variables)] * 3]
    return bytes(rng.choice(leaves) if symbol in (TRUE, FALSE) else symbol for symbol in expression)


@pytest.mark.slow
@pytest.mark.parametrize("num_variables", [1, 2, 3, 4])
def test_rows_are_what_constants_in_the_variables_places_give(num_variables):
    rng = random.Random(num_variables)
    whole = [random_expression(rng, size, rng.choice((0.3, 0.6, 0.95))) for size in [10, 100, 1000, 3000] * 25]
    strings = [with_variables(x, rng, num_variables) for x in whole]
    for x in strings[:]:
        i = rng.randrange(len(x))
        strings.append(x[:i] + bytes([rng.randint(1, 7 + num_variables)]) + x[i + rng.randint(0, 1) :])
    symbols = range(1, 9 + num_variables)  # the last is no word of the language
    strings += [bytes(rng.choices(symbols, k=rng.randint(0, 9))) for _ in range(20_000)]
    e = evaluate(strings, num_variables)
    table = substituted(strings, num_variables)
    np.testing.assert_array_equal(e.table, table)
    full = 2**2**num_variables - 1
    assert len(set(table.tolist())) >= 4 * num_variables
    np.testing.assert_array_equal(e.value, table == full)
    np.testing.assert_array_equal(e.rows_true, [bin(x).count("1") / 2**num_variables for x in table.tolist()])
    as_true = [
        x.translate(bytes.maketrans(bytes(range(8, 8 + num_variables)), bytes([TRUE] * num_variables))) for x in strings
    ]
    same = evaluate(as_true)
    for name in ("syntactic", "bracketed", "depth", "leaf_min", "leaf_max"):  # a variable is a leaf as True is
        np.testing.assert_array_equal(getattr(e, name), getattr(same, name), name)
    assert e.syntactic[:100].all() and 0.02 < e.syntactic[100:].mean() < 0.9
    np.testing.assert_array_equal(e.constants, [TRUE in x or FALSE in x for x in strings])


def test_masks_of_one_row_are_the_values():
    """Without variables the truth table has one row, whether it is kept in the frame or beside it."""
    rng = random.Random(5)
    strings = [bytes(rng.choices(range(1, 8), k=rng.randint(0, 9))) for _ in range(20_000)]
    strings += [random_expression(rng, 50, 0.5) for _ in range(200)]
    beside = evaluate(strings, 0, np.zeros(sum(map(len, strings)), np.uint16))
    for name, column in evaluate(strings)._asdict().items():
        np.testing.assert_array_equal(column, getattr(beside, name), name)


def test_what_brackets_close():
    expressions = encode(["((p and q) or (not p))", "(p", "((q))", "p or q", "(True and not (q or p))"], 2)
    closed = np.zeros(sum(map(len, expressions)), np.uint16)
    evaluate(expressions, 2, closed)
    at = np.frombuffer(b"".join(expressions), np.uint8) == CLOSE
    p, q = 0b1010, 0b1100
    assert closed[at].tolist() == [p & q, 15 ^ p, p & q | 15 ^ p, q, q, p | q, 15 ^ (p | q)]


@pytest.mark.parametrize("num_variables", [0, 1, 4])
def test_empty_batch(num_variables):
    assert all(len(column) == 0 for column in evaluate([], num_variables))
    assert evaluate([b"", b""], num_variables).rows_true.tolist() == [0, 0]
