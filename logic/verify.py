"""Verifies samples of a language, one a line, from a file or standard input, and writes CSV.

python -m logic.verify [FILE] --min_depth=1 --max_depth=5 --num_variables=0

Columns: expression, exactly as read (on a terminal with control characters as escapes); the language's verdicts, 0 or
1: of `boolean` syntactic, semantic and in_support; where it has graded truth rows_true: with variables the fraction of
the truth table's rows in which the expression is true, 0 where it is not syntactic. Rows are in the order of the
lines; an empty line is the empty sample. Any white space separates symbols.
"""

import re
import sys
from collections.abc import Sequence

import numpy as np

from logic.errors import UsageError, printable
from logic.language import Language, Verdicts
from logic.lines import read_lines

_NEEDS_QUOTES = re.compile(r'[,"\r\n]')  # the module csv leaves a lone `\r` bare, which then ends a row


def to_csv(lines: Sequence[str], verdicts: Verdicts, rows_true: np.ndarray | None = None) -> str:
    """One CSV row per line: the line, quoted where needed, its verdicts as 0 or 1, and rows_true if given."""
    if _NEEDS_QUOTES.search("".join(lines)):
        lines = ['"' + x.replace('"', '""') + '"' if _NEEDS_QUOTES.search(x) else x for x in lines]
    passed_VN = np.array(list(verdicts.values()), bool).reshape(len(verdicts), len(lines))
    codes = ((1 << np.arange(len(verdicts))) @ passed_VN).tolist()
    text = {code: "".join(f",{code >> i & 1}" for i in range(len(verdicts))) for code in set(codes)}
    endings = [text[code] for code in codes]
    if rows_true is not None:
        shown = {x: f",{x:g}" for x in set(rows_true.tolist())}
        endings = [end + shown[x] for end, x in zip(endings, rows_true.tolist(), strict=True)]
    return "".join([f"{line}{end}\n" for line, end in zip(lines, endings, strict=True)])


def main(argv: list[str], language: Language) -> None:
    """Reads, verifies and prints, a chunk of lines at a time."""
    if len(argv) > 2:
        raise UsageError(f"{argv[2]!r}: one file is allowed, {argv[1]!r} is given already")
    out, show = sys.stdout.buffer, printable if sys.stdout.isatty() else str
    graded = ["rows_true"] * (language.rows_true([]) is not None)
    header = ",".join(["expression", *(verdict.name for verdict in language.verdicts), *graded]) + "\n"
    for lines in read_lines(argv[1] if len(argv) > 1 else None):
        samples = language.encode(lines)
        out.write((header + show(to_csv(lines, language.verify(samples), language.rows_true(samples)))).encode())
        header = ""
    out.write(header.encode())  # nothing was read


if __name__ == "__main__":  # not on import, since commands share names of flags
    from launch import cli

    cli.define_language()
    cli.run(lambda argv: main(argv, cli.language()))
