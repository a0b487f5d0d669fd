"""Verifies expressions, one a line, from a file or standard input, and writes CSV.

python -m logic.verify [FILE]

Columns: expression, exactly as read (on a terminal with control characters as escapes); syntactic, semantic and
in_support, 0 or 1. Rows are in the order of the lines; an empty line is the empty expression. Any white space
separates symbols.
"""

import re
import sys
from collections.abc import Sequence

from absl import flags

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import encode
from logic.boolean.verifier import Verdicts, verify
from logic.errors import UsageError, printable, usage_errors
from logic.lines import read_lines

_NEEDS_QUOTES = re.compile(r'[,"\r\n]')  # the module csv leaves a lone `\r` bare, which then ends a row

_ENDINGS = [f",{code >> 2},{code >> 1 & 1},{code & 1}\n" for code in range(8)]


def to_csv(lines: Sequence[str], verdicts: Verdicts) -> str:
    """One CSV row per line: the line, quoted where needed, and its verdicts as 0 or 1."""
    if _NEEDS_QUOTES.search("".join(lines)):
        lines = ['"' + x.replace('"', '""') + '"' if _NEEDS_QUOTES.search(x) else x for x in lines]
    codes = (verdicts.syntactic * 4 + verdicts.semantic * 2 + verdicts.in_support).tolist()
    return "".join([line + _ENDINGS[code] for line, code in zip(lines, codes, strict=True)])


def main(argv: list[str]) -> None:
    """Reads, verifies and prints, a chunk of lines at a time."""
    if len(argv) > 2:
        raise UsageError(f"{argv[2]!r}: one file is allowed, {argv[1]!r} is given already")
    with usage_errors():
        grammar = Grammar(flags.FLAGS.min_depth, flags.FLAGS.max_depth)
    out, show = sys.stdout.buffer, printable if sys.stdout.isatty() else str
    header = b"expression,syntactic,semantic,in_support\n"
    for lines in read_lines(argv[1] if len(argv) > 1 else None):
        out.write(header + show(to_csv(lines, verify(encode(lines), grammar))).encode())
        header = b""
    out.write(header)  # nothing was read


if __name__ == "__main__":  # not on import, since commands share names of flags
    from launch import cli

    flags.DEFINE_integer("min_depth", 1, "Support: every constant lies at least this deep, in operators.")
    flags.DEFINE_integer("max_depth", 5, "Support: and at most this deep, min_depth to 12.")
    cli.run(main)
