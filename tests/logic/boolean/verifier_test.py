"""Verdicts against Python's own parser and SymPy. Nothing is ever run as code."""

import ast
import random

import numpy as np
import pytest
import sympy

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import AND, CLOSE, FALSE, NOT, OPEN, OR, TRUE, decode, encode
from logic.boolean.verifier import verify


def parse(text: str) -> ast.expr | None:
    """Python's syntax tree, if it has nothing but our operators and constants."""
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    allowed = (ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Constant)
    nodes = list(ast.walk(tree))
    ok = all(isinstance(x, allowed) and (not isinstance(x, ast.Constant) or x.value in (True, False)) for x in nodes)
    return tree if ok else None


def value(tree: ast.expr) -> bool:
    match tree:
        case ast.Constant(value=v):
            return v is True
        case ast.UnaryOp(operand=x):
            return not value(x)
        case ast.BoolOp(op=ast.And(), values=xs):
            return all(value(x) for x in xs)
        case ast.BoolOp(op=ast.Or(), values=xs):
            return any(value(x) for x in xs)
    raise AssertionError(ast.dump(tree))


def written(tree: ast.expr) -> tuple[str, int, int]:
    """What the generator writes for a tree; depth of its shallowest and of its deepest constant."""
    match tree:
        case ast.Constant(value=v):
            return str(v), 0, 0
        case ast.UnaryOp(operand=x):
            text, low, high = written(x)
            return f"(not {text})", low + 1, high + 1
        case ast.BoolOp(op=op, values=xs):
            texts, lows, highs = zip(*map(written, xs), strict=True)
            word = " and " if isinstance(op, ast.And) else " or "
            return f"({word.join(texts)})", min(lows) + 1, max(highs) + 1
    raise AssertionError(ast.dump(tree))


def oracle(text: str, grammar: Grammar) -> tuple[bool, bool, bool]:
    tree = parse(text)
    if tree is None:
        return False, False, False
    is_true = value(tree)
    canonical, low, high = written(tree)
    # `a and b and c` is one node of Python's with three operands: the generator has no such node.
    binary = all(len(x.values) == 2 for x in ast.walk(tree) if isinstance(x, ast.BoolOp))
    within = grammar.min_depth <= low and high <= grammar.max_depth
    return True, is_true, is_true and binary and canonical == text and within


def check(expressions: list[bytes], grammar: Grammar) -> np.ndarray:
    """Compares all verdicts with the oracle's; returns them, bool[verdict, N]."""
    texts = decode(expressions)
    verdicts = np.array(verify(encode(texts), grammar))
    expected = np.array([oracle(text, grammar) for text in texts]).T
    wrong = np.flatnonzero((verdicts != expected).any(axis=0))
    assert not len(wrong), [(texts[i], verdicts[:, i], expected[:, i]) for i in wrong[:5]]
    return verdicts


def plausible(rng: random.Random) -> bytes:
    """A random string in which mostly an operand follows an operator, and brackets mostly match."""
    out: list[int] = []
    operand, depth = True, 0
    while len(out) < 40:
        if rng.random() < 0.01:
            operand = not operand
        if operand:
            symbol = rng.choice((OPEN, OPEN, NOT, TRUE, TRUE, FALSE, FALSE))
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


def mutate(x: bytes, rng: random.Random) -> bytes:
    """One to three deletions, insertions, replacements or swaps of symbols, flips of a constant or a binary
    operator, or pairs of redundant brackets."""
    for _ in range(rng.randint(1, 3)):
        i, j = sorted((rng.randint(0, len(x)), rng.randint(0, len(x))))
        new = bytes([rng.randint(1, 7)])
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


def test_verdicts_imply_each_other_and_do_not_depend_on_the_batch():
    rng = random.Random(3)
    expressions = [plausible(rng) for _ in range(2000)]
    together = np.array(verify(expressions, Grammar()))
    assert (together[1] <= together[0]).all() and (together[2] <= together[1]).all()
    order = np.random.default_rng(3).permutation(len(expressions))
    shuffled = np.array(verify([expressions[i] for i in order], Grammar()))
    np.testing.assert_array_equal(shuffled, together[:, order])
    assert np.array(verify([], Grammar())).shape == (3, 0)
