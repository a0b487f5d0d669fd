"""Suite `verify`: the verdict on expressions, ours and what Python offers. Expressions per second, on one core.

A fifth of the expressions is damaged in one symbol, as a model's samples are.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from launch.benchmarks.case import Contender, Row, compare, timed
from launch.benchmarks.gpt2 import require
from launch.benchmarks.sizes import Options, Size
from logic.boolean.grammar import Grammar
from logic.boolean.symbols import decode, encode
from logic.boolean.verifier import verify

GRAMMAR = Grammar(1, 5)
_NODES = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Constant, ast.Load)


def samples(n: int) -> list[bytes]:
    """Real expressions, a fifth of them with one symbol replaced."""
    rng = np.random.default_rng(0)
    expressions = GRAMMAR.sample(n, rng)
    for i in rng.choice(n, n // 5, replace=False).tolist():
        damaged = bytearray(expressions[i])
        damaged[rng.integers(len(damaged))] = rng.integers(1, 8)
        expressions[i] = bytes(damaged)
    return expressions


def _parse(text: str) -> ast.expr | None:
    """The tree of a boolean expression; None for anything else."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, RecursionError, MemoryError):
        return None
    allowed = all(
        isinstance(node, _NODES) and (not isinstance(node, ast.Constant) or isinstance(node.value, bool))
        for node in ast.walk(tree)
    )
    return tree.body if allowed else None


def python_eval(text: str) -> bool:
    """Whether the text is a true boolean expression: a look at its syntax tree, then `eval`."""
    return _parse(text) is not None and eval(text) is True


def sympy_parsed(text: str) -> bool:
    """Whether the text is a true boolean expression to SymPy's parser, which knows `&`, `|` and `~`."""
    import sympy
    from sympy.parsing.sympy_parser import parse_expr

    for word, symbol in (("and", "&"), ("or", "|"), ("not", "~"), ("True", "t"), ("False", "f")):
        text = text.replace(word, symbol)
    try:
        return parse_expr(text, local_dict={"t": sympy.true, "f": sympy.false}) is sympy.true
    except Exception:  # it is compiled and run: anything can come of a malformed one
        return False


def sympy_built(text: str) -> bool:
    """Whether the text is a true boolean expression: Python's syntax tree, evaluated by SymPy's And, Or and Not."""
    import sympy

    def build(node: Any) -> Any:
        if isinstance(node, ast.Constant):
            return sympy.true if node.value else sympy.false
        if isinstance(node, ast.UnaryOp):
            return sympy.Not(build(node.operand))
        operands = [build(value) for value in node.values]
        return sympy.And(*operands) if isinstance(node.op, ast.And) else sympy.Or(*operands)

    tree = _parse(text)
    return tree is not None and build(tree) is sympy.true


def suite(size: Size, options: Options) -> Iterator[Row]:
    """`eval` from symbols and from text, then SymPy; the size of the model does not matter."""
    expressions = samples(options.num_expressions)
    text = decode(expressions)

    def one_by_one(judge: Callable[[str], bool], lines: Sequence[str], *modules: str) -> Callable[[], Contender]:
        def peer() -> Contender:
            require(*modules)
            return Contender(timed(lambda _: [judge(line) for line in lines], options.min_seconds), len(lines))

        return peer

    from_symbols = timed(lambda _: verify(expressions, GRAMMAR), options.min_seconds)
    from_text = timed(lambda _: verify(encode(text), GRAMMAR), options.min_seconds)
    with_eval = one_by_one(python_eval, text)
    few = text[: max(1, len(text) // 10)]
    cases: list[tuple[str, Callable[[], float], str, Callable[[], Contender]]] = [
        ("eval", from_symbols, "Python's ast check and eval", with_eval),
        ("eval_from_text", from_text, "Python's ast check and eval", with_eval),
        ("sympy", from_symbols, "SymPy's parse_expr", one_by_one(sympy_parsed, few, "sympy")),
        ("sympy_built", from_symbols, "SymPy's And, Or, Not of Python's tree", one_by_one(sympy_built, few, "sympy")),
    ]
    for case, run, name, peer in cases:
        ours = Contender(run, len(expressions))
        yield compare("verify", case, size.name, "expressions/s", ours, name, peer, options.repeats)
