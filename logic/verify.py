"""Verifies expressions, one a line, from a file or standard input, and writes CSV.

python -m logic.verify [FILE] --min_depth=1 --max_depth=5 --num_variables=0

Columns: expression, exactly as read (on a terminal with control characters as escapes); syntactic, semantic and
in_support, 0 or 1; with variables also rows_true, the fraction of the truth table's rows in which the expression is
true, 0 where it is not syntactic. Rows are in the order of the lines; an empty line is the empty expression. Any
white space separates symbols.
"""

import re
import sys
from collections.abc import Sequence

import numpy as np
from absl import flags

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import encode
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import Verdicts, judge
from logic.errors import UsageError, printable, usage_errors
from logic.lines import read_lines

_NEEDS_QUOTES = re.compile(r'[,"\r\n]')  # the module csv leaves a lone `\r` bare, which then ends a row

_ENDINGS = [f",{code >> 2},{code >> 1 & 1},{code & 1}\n" for code in range(8)]


def to_csv(lines: Sequence[str], verdicts: Verdicts, rows_true: np.ndarray | None = None) -> str:
    """One CSV row per line: the line, quoted where needed, its verdicts as 0 or 1, and rows_true if given."""
    if _NEEDS_QUOTES.search("".join(lines)):
        lines = ['"' + x.replace('"', '""') + '"' if _NEEDS_QUOTES.search(x) else x for x in lines]
    codes = (verdicts.syntactic * 4 + verdicts.semantic * 2 + verdicts.in_support).tolist()
    endings = [_ENDINGS[code] for code in codes]
    if rows_true is not None:
        text = {x: f",{x:g}\n" for x in set(rows_true.tolist())}  # at most 17, sixteenths
        endings = [end[:-1] + text[x] for end, x in zip(endings, rows_true.tolist(), strict=True)]
    return "".join([line + end for line, end in zip(lines, endings, strict=True)])


def main(argv: list[str]) -> None:
    """Reads, verifies and prints, a chunk of lines at a time."""
    if len(argv) > 2:
        raise UsageError(f"{argv[2]!r}: one file is allowed, {argv[1]!r} is given already")
    with usage_errors():
        args = flags.FLAGS
        grammar = Grammar(args.min_depth, args.max_depth, args.num_variables, args.constants)
    variables = grammar.num_variables
    out, show = sys.stdout.buffer, printable if sys.stdout.isatty() else str
    header = b"expression,syntactic,semantic,in_support" + (b",rows_true\n" if variables else b"\n")
    for lines in read_lines(argv[1] if len(argv) > 1 else None):
        e = evaluate(encode(lines, variables), variables)
        out.write(header + show(to_csv(lines, judge(e, grammar), e.rows_true if variables else None)).encode())
        header = b""
    out.write(header)  # nothing was read


if __name__ == "__main__":  # not on import, since commands share names of flags
    from launch import cli

    flags.DEFINE_integer("min_depth", 1, "Support: every leaf lies at least this deep, in operators.")
    flags.DEFINE_integer("max_depth", 5, "Support: and at most this deep, min_depth to 12.")
    flags.DEFINE_integer("num_variables", 0, "Variables of the language: none, or the first of p, q, r, s.")
    flags.DEFINE_bool("constants", True, "Support: whether True and False are among the leaves.")
    cli.run(main)
