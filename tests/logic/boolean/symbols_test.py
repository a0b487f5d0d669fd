import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logic.boolean.symbols import EOS, UNKNOWN, VARIABLES, VOCAB_SIZE, WORDS, decode, encode, vocabulary
from logic.ids import lengths, pad, unpad

symbol_strings = st.lists(st.integers(1, VOCAB_SIZE - 1), max_size=40).map(bytes)
batches = st.lists(symbol_strings, max_size=8)
spaces = st.text(" \t\r\f\v\x1c\x1f\x85\xa0\u2003\u3000", min_size=1, max_size=3)


@pytest.mark.slow
@given(batches)
@settings(max_examples=300)
def test_any_symbols_read_back_as_themselves(expressions):
    assert encode(decode(expressions)) == expressions


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, VOCAB_SIZE - 1), spaces), max_size=20), spaces)
@settings(max_examples=300)
def test_any_white_space_separates(symbols_and_spaces, margin):
    line = margin + "".join(WORDS[symbol] + space for symbol, space in symbols_and_spaces)
    assert encode([line]) == [bytes(symbol for symbol, _ in symbols_and_spaces)]


@given(st.text(string.ascii_letters + string.digits + "_<>.'+-\0éλ", min_size=1, max_size=12))
@settings(max_examples=300)
def test_other_words_are_unknown(word):
    expected = WORDS.index(word) if word in WORDS[1:] else UNKNOWN
    assert encode([f"({word} and {word})"]) == [bytes([1, expected, 3, expected, 2])]


@given(st.integers(0, 4), st.data())
@settings(max_examples=200)
def test_variables_read_back_as_themselves(num_variables, data):
    symbol = st.integers(1, VOCAB_SIZE + num_variables - 1)
    expressions = data.draw(st.lists(st.lists(symbol, max_size=20).map(bytes), max_size=5))
    assert encode(decode(expressions), num_variables) == expressions


@pytest.mark.parametrize("num_variables", range(5))
def test_a_variable_that_the_language_lacks_is_unknown(num_variables):
    (read,) = encode(["p q r s"], num_variables)
    assert list(read) == [*range(8, 8 + num_variables)] + [UNKNOWN] * (4 - num_variables)
    words = vocabulary(num_variables)
    assert words == WORDS + VARIABLES[:num_variables] and len(words) <= UNKNOWN
    assert encode(["pq", "P", "p_", "t"], num_variables) == [bytes([UNKNOWN])] * 4


@given(st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3))
@settings(max_examples=200)
def test_half_of_a_character_is_an_unknown_word(word):
    """Text can hold lone surrogates, of names of files that are not UTF-8 or of JSON."""
    assert encode([f"(True and {word})", "True"]) == [bytes([1, 6, 3, UNKNOWN, 2]), bytes([6])]


@given(batches)
@settings(max_examples=200)
def test_pad_and_unpad_are_inverse(expressions):
    ids_NL = pad(expressions)
    assert ids_NL.dtype == np.uint8
    assert unpad(ids_NL) == expressions
    assert unpad(pad(expressions, 50)) == expressions
    assert lengths(expressions).tolist() == [len(e) for e in expressions]


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("(True and (not False))", [1, 6, 3, 1, 5, 7, 2, 2]),
        ("(False or True)", [1, 7, 4, 6, 2]),
        ("True", [6]),
        ("", []),
    ],
)
def test_text_form(text, symbols):
    assert encode([text]) == [bytes(symbols)]
    assert decode([bytes(symbols)]) == [text]


def test_brackets_need_no_space_and_words_do():
    assert encode(["((True)and(not(False)))"]) == encode(["( ( True ) and ( not ( False ) ) )"])
    assert encode(["notTrue", "true", "<eos>", "True)False", "True,"]) == [
        bytes([UNKNOWN]),
        bytes([UNKNOWN]),
        bytes([UNKNOWN]),
        bytes([6, 2, 7]),
        bytes([UNKNOWN]),
    ]


def test_empty_batches_and_lines():
    assert encode([]) == [] and decode([]) == []
    assert encode(["", " \t", "\r"]) == [b"", b"", b""]
    assert decode([b"", b"\x06", b""]) == ["", "True", ""]
    assert pad([]).shape == (0, 0) and unpad(np.zeros((2, 0), np.uint8)) == [b"", b""]


def test_unpad_cuts_at_the_first_eos():
    assert unpad(np.array([[6, EOS, 7], [EOS, 6, 6], [1, 2, 3]])) == [b"\x06", b"", b"\x01\x02\x03"]
