"""Verdicts against Python's own parser and SymPy. Nothing is ever run as code."""

import ast
import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
import sympy

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE, VARIABLES, decode, encode
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import verify


def parse(text: str, num_variables: int = 0) -> ast.expr | None:
    """Python's syntax tree, if it has nothing but our operators, constants and variables."""
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    for x in ast.walk(tree):
        if isinstance(x, ast.Name):
            if x.id not in VARIABLES[:num_variables]:
                return None
        elif isinstance(x, ast.Constant):
            if x.value not in (True, False):
                return None
        elif not isinstance(x, ast.BoolOp | ast.And | ast.Or | ast.UnaryOp | ast.Not | ast.Load):
            return None
    return tree


def value(tree: ast.expr, row: dict[str, bool]) -> bool:
    match tree:
        case ast.Constant(value=v):
            return v is True
        case ast.Name(id=name):
            return row[name]
        case ast.UnaryOp(operand=x):
            return not value(x, row)
        case ast.BoolOp(op=ast.And(), values=xs):
            return all(value(x, row) for x in xs)
        case ast.BoolOp(op=ast.Or(), values=xs):
            return any(value(x, row) for x in xs)
    raise AssertionError(ast.dump(tree))


def table_of(tree: ast.expr, num_variables: int) -> list[bool]:
    rows = itertools.product((False, True), repeat=num_variables)  # the last variable of a row alternates
    names = VARIABLES[:num_variables][::-1]
    return [value(tree, dict(zip(names, row, strict=True))) for row in rows]


def written(tree: ast.expr) -> tuple[str, int, int]:
    """What the generator writes for a tree; depth of its shallowest and of its deepest constant."""
    match tree:
        case ast.Constant(value=v):
            return str(v), 0, 0
        case ast.Name(id=name):
            return name, 0, 0
        case ast.UnaryOp(operand=x):
            text, low, high = written(x)
            return f"(not {text})", low + 1, high + 1
        case ast.BoolOp(op=op, values=xs):
            texts, lows, highs = zip(*map(written, xs), strict=True)
            word = " and " if isinstance(op, ast.And) else " or "
            return f"({word.join(texts)})", min(lows) + 1, max(highs) + 1
    raise AssertionError(ast.dump(tree))


def oracle(text: str, grammar: Grammar) -> tuple[bool, bool, bool, int]:
    """The verdicts and the truth table, row i in bit i."""
    tree = parse(text, grammar.num_variables)
    if tree is None:
        return False, False, False, 0
    rows = table_of(tree, grammar.num_variables)
    canonical, low, high = written(tree)
    # `a and b and c` is one node of Python's with three operands: the generator has no such node.
    binary = all(len(x.values) == 2 for x in ast.walk(tree) if isinstance(x, ast.BoolOp))
    leaves = grammar.constants or not any(isinstance(x, ast.Constant) for x in ast.walk(tree))
    within = grammar.min_depth <= low and high <= grammar.max_depth and leaves
    in_support = all(rows) and binary and canonical == text and within
    return True, all(rows), in_support, sum(x << i for i, x in enumerate(rows))


def check(expressions: list[bytes], grammar: Grammar) -> np.ndarray:
    """Compares all verdicts and truth tables with the oracle's; returns the verdicts, bool[verdict, N]."""
    texts, k = decode(expressions), grammar.num_variables
    verdicts = np.array(verify(encode(texts, k), grammar))
    e = evaluate(expressions, k)
    *expected, table = np.array([oracle(text, grammar) for text in texts]).T
    wrong = np.flatnonzero((verdicts != expected).any(axis=0) | (e.table != table))
    assert not len(wrong), [(texts[i], verdicts[:, i], e.table[i], table[i]) for i in wrong[:5]]
    np.testing.assert_array_equal(e.rows_true, [bin(x).count("1") / 2**k for x in table])
    return verdicts


def plausible(rng: random.Random, leaves: Sequence[int] = (TRUE, FALSE)) -> bytes:
    """A random string in which mostly an operand follows an operator, and brackets mostly match."""
    out: list[int] = []
    operand, depth = True, 0
    while len(out) < 40:
        if rng.random() < 0.01:
            operand = not operand
        if operand:
            symbol = rng.choice((OPEN, OPEN, NOT, *leaves) if len(leaves) > 3 else (OPEN, OPEN, NOT, *leaves, *leaves))
            depth += symbol == OPEN
            operand = symbol in (OPEN, NOT)
        elif depth and rng.random() < 0.5:
            symbol, depth = CLOSE, depth - 1
        elif rng.random() < 0.25:
            break
        else:
            symbol, operand = rng.choice((AND, OR)), True
        out.append(symbol)
    return bytes(out + [CLOSE] * (depth if rng.random() < 0.95 else 0))


FLIP = bytes.maketrans(bytes([TRUE, FALSE, AND, OR]), bytes([FALSE, TRUE, OR, AND]))


def mutate(x: bytes, rng: random.Random, num_variables: int = 0) -> bytes:
    """One to three deletions, insertions, replacements or swaps of symbols, flips of a constant or a binary
    operator, or pairs of redundant brackets."""
    for _ in range(rng.randint(1, 3)):
        i, j = sorted((rng.randint(0, len(x)), rng.randint(0, len(x))))
        new = bytes([rng.randint(1, 7 + num_variables)])
        match rng.randrange(8):
            case 0:
                x = x[:i] + x[i + 1 :]
            case 1:
                x = x[:i] + new + x[i:]
            case 2:
                x = x[:i] + new + x[i + 1 :] if i < len(x) else x
            case 3:
                x = x[:i] + x[j : j + 1] + x[i + 1 : j] + x[i : i + 1] + x[j + 1 :] if i < j < len(x) else x
            case 4:
                x = x[:i] + bytes([OPEN]) + x[i:j] + bytes([CLOSE]) + x[j:]
            case _:
                x = x[:i] + x[i : i + 1].translate(FLIP) + x[i + 1 :]
    return x


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [(1, 5), (2, 3)])
def test_mutations_of_real_expressions(bounds):
    rng, grammar = random.Random(0), Grammar(*bounds)
    real = [x for x in Grammar(1, 4).sample(40_000, np.random.default_rng(0)) if len(x) <= 60][:25_000]
    verdicts = check(real + [mutate(x, rng) for x in real], grammar)
    syntactic, semantic, in_support = verdicts[:, len(real) :].mean(axis=1)
    assert 0.3 < syntactic < 0.7 and semantic < syntactic - 0.05 and 0.01 < in_support < semantic - 0.01


VARIABLE = [(1, 4, 1), (1, 4, 2), (1, 4, 3), (1, 4, 4), (0, 3, 2, False)]


def strings_with_variables(n: int, grammar: Grammar, seed: int) -> list[bytes]:
    """Real, mutated and random strings, about as many of each; the short ones of them."""
    rng, k = random.Random(seed), grammar.num_variables
    real = [x for x in grammar.sample(n // 3, np.random.default_rng(seed)) if len(x) <= 60]
    leaves = (TRUE, FALSE, *range(8, 8 + k))
    return real + [mutate(x, rng, k) for x in real] + [plausible(rng, leaves) for _ in range(n - 2 * len(real))]


@pytest.mark.parametrize("arguments", VARIABLE)
def test_strings_with_variables(arguments):
    grammar = Grammar(*arguments)
    strings = strings_with_variables(6000, grammar, 7)
    syntactic, semantic, in_support = check(strings, grammar).mean(axis=1)
    assert 0.5 < syntactic < 0.95 and 0.2 < semantic < syntactic - 0.1 and 0.1 < in_support < semantic


@pytest.mark.slow
def test_random_strings():
    rng = random.Random(1)
    strings = [plausible(rng) for _ in range(40_000)]
    strings += [bytes(rng.choices(range(1, 8), k=rng.randint(0, 7))) for _ in range(20_000)]
    verdicts = check(strings, Grammar(0, 3))
    syntactic, semantic, in_support = verdicts.mean(axis=1)
    assert 0.3 < syntactic < 0.9 and 0.1 < semantic < syntactic - 0.1 and 0.01 < in_support < semantic


def test_binding_strength_and_redundant_brackets():
    texts = {
        "True or False and False": (1, 1, 0),
        "(True or False) and False": (1, 0, 0),
        "not False or True": (1, 1, 0),
        "not (False or True)": (1, 0, 0),
        "not True and False or True": (1, 1, 0),
        "False and not True or not not True": (1, 1, 0),
        "(((True)))": (1, 1, 0),
        "((True and True))": (1, 1, 0),
        "(True and True)": (1, 1, 1),
        "True and True": (1, 1, 0),
        "(True and True and True)": (1, 1, 0),
        "(True and not False)": (1, 1, 0),
        "(True and (not False))": (1, 1, 1),
        "(not False)": (1, 1, 1),
        "True": (1, 1, 0),
        "False": (1, 0, 0),
        "": (0, 0, 0),
        "()": (0, 0, 0),
        "(True)(True)": (0, 0, 0),
        "True not False": (0, 0, 0),
        "and True": (0, 0, 0),
        "(True and )": (0, 0, 0),
        "(True": (0, 0, 0),
        "True)": (0, 0, 0),
        "True True": (0, 0, 0),
        "True and <eos>": (0, 0, 0),
        "true": (0, 0, 0),
        "1": (0, 0, 0),
        "(True, )": (0, 0, 0),
    }
    verdicts = verify(encode(list(texts)), Grammar())
    assert dict(zip(texts, zip(*np.array(verdicts).astype(int).tolist(), strict=True), strict=True)) == texts


def to_sympy(tree: ast.expr) -> sympy.logic.boolalg.Boolean:
    match tree:
        case ast.Constant(value=v):
            return sympy.true if v else sympy.false
        case ast.Name(id=name):
            return sympy.Symbol(name)
        case ast.UnaryOp(operand=x):
            return sympy.Not(to_sympy(x))
        case ast.BoolOp(op=op, values=xs):
            return (sympy.And if isinstance(op, ast.And) else sympy.Or)(*map(to_sympy, xs))
    raise AssertionError(ast.dump(tree))


def test_sympy_agrees():
    rng = random.Random(2)
    real = Grammar(1, 5).sample(500, np.random.default_rng(2))
    expressions = [x for x in real if len(x) < 150] + [plausible(rng) for _ in range(3000)]
    trees = [parse(text) for text in decode(expressions)]
    verdicts = verify(expressions, Grammar())
    seen = set()
    for i, tree in enumerate(trees):
        if tree is not None:
            assert (to_sympy(tree) == sympy.true) == verdicts.semantic[i], decode(expressions)[i]
            seen.add(bool(verdicts.semantic[i]))
    assert seen == {True, False}
    assert sum(tree is not None for tree in trees) > 1500


def check_sympy(strings: list[bytes], num_variables: int) -> int:
    """Compares with SymPy what Python takes for an expression; returns how many tautologies there were."""
    e = evaluate(strings, num_variables)
    for text, syntactic, is_true, table in zip(decode(strings), e.syntactic, e.value, e.table, strict=True):
        tree = parse(text, num_variables)
        assert (tree is not None) == syntactic
        if tree is not None:
            formula = to_sympy(tree)  # And, Or and Not leave `p | ~p` as it is, or make it true
            assert (sympy.satisfiable(sympy.Not(formula)) is False) == is_true, text
            assert (sympy.satisfiable(formula) is not False) == (table > 0), text
    return int(e.value.sum())


@pytest.mark.parametrize("num_variables", [1, 2, 3, 4])
def test_sympy_agrees_on_tautologies(num_variables):
    assert check_sympy(strings_with_variables(500, Grammar(1, 4, num_variables), 8), num_variables) > 100


def test_verdicts_imply_each_other_and_do_not_depend_on_the_batch():
    rng = random.Random(3)
    expressions = [plausible(rng) for _ in range(2000)]
    together = np.array(verify(expressions, Grammar()))
    assert (together[1] <= together[0]).all() and (together[2] <= together[1]).all()
    order = np.random.default_rng(3).permutation(len(expressions))
    shuffled = np.array(verify([expressions[i] for i in order], Grammar()))
    np.testing.assert_array_equal(shuffled, together[:, order])
    assert np.array(verify([], Grammar())).shape == (3, 0)
