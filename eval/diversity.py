"""Diversity of a set of samples: how far apart they are, and how many are distinct.

    python -m eval.diversity [FILE] [--max_depth=5 --num_variables=0 …]

Prints one JSON object: `count`, and the measures of the lines that need no model. A line is one sample; a word
outside the vocabulary counts as one symbol. Every pair of distinct lines is compared, on all cores.
"""

import json
import sys
import time
from collections import Counter

from logic.errors import UsageError
from logic.language import UNKNOWN, Language
from logic.lines import read_lines


def spell(line: str, expression: bytes, words: dict[str, str], language: Language) -> str:
    """The line with one character a symbol; `words` collects the characters of words outside the vocabulary."""
    if UNKNOWN not in expression:
        return expression.decode("latin-1")
    found = iter(language.words(line))
    return "".join(
        chr(symbol) if symbol != UNKNOWN else words.setdefault(word, _character(len(words)))
        for symbol, word in zip(expression, found, strict=True)
    )


def _character(i: int) -> str:
    code = UNKNOWN + i
    code = code if code < 0xD800 else code + 0x800  # surrogates are no characters
    if code > sys.maxunicode:
        raise UsageError(f"more than {i:,} different words outside the vocabulary: so many are told apart")
    return chr(code)


class _Progress:
    """Says on standard error how far a long comparison is, every few seconds."""

    def __init__(self) -> None:
        self.start = self.said = time.monotonic()

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if now - self.said > 5 and done > 0:
            self.said = now
            left = (now - self.start) * (1 / done - 1)
            print(f"comparing pairs: {done:.0%} done, {left:.0f} s left", file=sys.stderr)


def main(argv: list[str], language: Language) -> None:
    """Reads lines, measures them, prints JSON."""
    from eval.measures.observation import Observation
    from eval.measures.registry import measure
    from loop.examples import Examples

    if len(argv) > 2:
        raise UsageError(f"{argv[2]!r}: one file is allowed, {argv[1]!r} is given already")
    samples: list[bytes] = []
    counts: Counter = Counter()
    words: dict[str, str] = {}
    for lines in read_lines(argv[1] if len(argv) > 1 else None):
        chunk = language.encode(lines)
        samples += chunk
        counts.update(spell(line, e, words, language) for line, e in zip(lines, chunk, strict=True))
    if not samples:
        raise UsageError("no lines to measure: at least one is needed")
    written = Examples.written(samples, 0, Examples.drawn([], 0))
    verdicts = language.verify(samples)
    observation = Observation(language, written, verdicts, words=counts, progress=_Progress())
    print(json.dumps({"count": len(samples), **measure(observation)}))


if __name__ == "__main__":
    from launch import cli

    cli.define_language()
    cli.run(lambda argv: main(argv, cli.language()))
