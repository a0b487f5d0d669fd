"""Text <-> symbol ids.

An expression is a `bytes` object of symbol ids, one byte a symbol, without `<eos>`: `len` counts symbols,
equality and hashing are Python's, and a batch is a list. The text form is Python's own, one space around
binary operators and none inside brackets: `(True and (not False))`. A language with k variables has the first
k of `VARIABLES` as words besides; their ids are the same in every language, constants or not.
"""

import re
from collections.abc import Sequence

import numpy as np

from logic.language import UNKNOWN

EOS, OPEN, CLOSE, AND, OR, NOT, TRUE, FALSE = range(8)
WORDS = ("<eos>", "(", ")", "and", "or", "not", "True", "False")
VOCAB_SIZE = len(WORDS)
VARIABLES = ("p", "q", "r", "s")  # ids 8 to 11

_SPACE, _BRACKET, _WORD = range(3)
_CHAR_CLASS = np.full(256, _WORD, np.uint8)
_CHAR_CLASS[[c for c in range(128) if chr(c).isspace()]] = _SPACE
_CHAR_CLASS[[ord("("), ord(")")]] = _BRACKET
_LONGEST_WORD = max(len(word) for word in WORDS[AND:])


def vocabulary(num_variables: int = 0) -> tuple[str, ...]:
    """The words of a language, by symbol id."""
    return WORDS + VARIABLES[:num_variables]


def _word_keys(bytes_NK: np.ndarray, length_N: np.ndarray) -> np.ndarray:
    """Packs the first `length` bytes of each row into one integer, so that words compare as numbers."""
    K = bytes_NK.shape[1]
    kept_NK = np.where(np.arange(K) < length_N[:, None], bytes_NK, 0).astype(np.int64)
    return (kept_NK << (8 * np.arange(K))).sum(axis=1)


def encode(lines: Sequence[str], num_variables: int = 0) -> list[bytes]:
    """Reads one expression a line. Any white space separates; a word outside the vocabulary is `UNKNOWN`."""
    if not lines:
        return []
    text = "\n".join(lines)
    if not text.isascii():
        text = re.sub(r"[^\S\n]", " ", text)
    raw = np.frombuffer(text.encode("utf-8", "surrogatepass") + b"\n", np.uint8)
    kind = _CHAR_CLASS[raw]
    in_word = kind == _WORD
    word_start = in_word & ~np.concatenate([[False], in_word[:-1]])
    word_end = in_word & ~np.concatenate([in_word[1:], [False]])

    start_W = np.flatnonzero(word_start)
    length_W = np.flatnonzero(word_end) - start_W + 1
    gather = np.minimum(start_W[:, None] + np.arange(_LONGEST_WORD), len(raw) - 1)
    key_W = _word_keys(raw[gather], np.minimum(length_W, _LONGEST_WORD))
    symbol_W = np.full(len(start_W), UNKNOWN, np.uint8)
    for symbol, name in enumerate(vocabulary(num_variables)[AND:], AND):
        word = name.encode()
        key = int.from_bytes(word, "little")
        symbol_W[(key_W == key) & (length_W == len(word))] = symbol

    symbol_at = np.zeros(len(raw), np.uint8)  # the symbol that starts at each character, if any
    symbol_at[start_W] = symbol_W
    symbol_at[raw == ord("(")] = OPEN
    symbol_at[raw == ord(")")] = CLOSE
    starts = np.flatnonzero(symbol_at)
    flat = symbol_at[starts].tobytes()
    ends = np.searchsorted(starts, np.flatnonzero(raw == ord("\n"))).tolist()
    return [flat[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def decode(expressions: Sequence[bytes]) -> list[str]:
    """Writes each expression in the text form; any sequence of symbols reads back as itself."""
    if not expressions:
        return []
    words = ["\n", *vocabulary(len(VARIABLES))[1:]]
    flat = b"\0".join(expressions)
    text = " ".join([words[symbol] for symbol in flat])
    text = text.replace("( ", "(").replace(" )", ")").replace(" \n", "\n").replace("\n ", "\n")
    return text.split("\n")


def words(line: str) -> list[str]:
    """The words of a line as `encode` separates them, brackets among them."""
    return re.findall(r"[()]|[^\s()]+", line)
