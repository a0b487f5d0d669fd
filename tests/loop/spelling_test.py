import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logic.errors import UsageError
from loop.learners import LEARNERS
from loop.learners.ngram import NGram
from loop.spelling import parse, parse_chain, spell, spell_chain, split


@dataclasses.dataclass(frozen=True)
class Plain:
    pass


@dataclasses.dataclass(frozen=True)
class Unique:
    copies: int = 1
    by: str = "text"


@dataclasses.dataclass(frozen=True)
class Truncated:
    gamma: float  # has to be given
    soft: bool = False
    limit: float | None = None

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise ValueError(f"gamma = {self.gamma}: allowed are numbers from 0")


KNOWN = {"verified": Plain, "unique": Unique, "truncated": Truncated}
FLOAT = st.floats(0, allow_nan=False, allow_infinity=False)
OBJECT = st.one_of(
    st.just(Plain()),
    st.builds(Unique, st.integers(-(10**20), 10**20), st.from_regex(r"[A-Za-z_][\w.-]{0,9}", fullmatch=True)),
    st.builds(Truncated, FLOAT, st.booleans(), st.none() | st.floats(allow_nan=False, allow_infinity=False)),
)


@given(OBJECT)
def test_what_is_spelled_reads_back_equal(value):
    assert parse(spell(value, KNOWN), KNOWN, "field") == value


@given(st.lists(OBJECT, max_size=5))
def test_chains_read_back_equal(values):
    assert parse_chain(spell_chain(values, KNOWN), KNOWN, "field") == tuple(values)


@given(OBJECT, OBJECT)
def test_the_spelling_names_the_object(a, b):
    assert (spell(a, KNOWN) == spell(b, KNOWN)) == (a == b)


@given(st.lists(OBJECT, min_size=1, max_size=4), st.data())
def test_space_is_free(values, data):
    text = spell_chain(values, KNOWN)
    spaced = "".join(data.draw(st.sampled_from(["", " ", "  "])) + c if c in "(),=|" else c for c in text)
    assert parse_chain(spaced, KNOWN, "field") == tuple(values)


@given(st.text(alphabet="averifdunqtc_=(),|.-+019e \n", max_size=25))
def test_anything_is_read_or_refused_in_one_line_that_names_the_field(text):
    try:
        values = parse_chain(text, KNOWN, "sweep.remedies")
    except UsageError as error:
        assert str(error).startswith("sweep.remedies = ")
        assert "\n" not in str(error)
    else:
        assert parse_chain(spell_chain(values, KNOWN), KNOWN, "") == values


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("unique", "unique"),
        ("unique()", "unique"),
        ("unique(copies=1)", "unique"),
        ("unique(by=tree, copies=02)", "unique(copies=2,by=tree)"),
        ("truncated(gamma=0.90)", "truncated(gamma=0.9)"),
        ("truncated(gamma=1)", "truncated(gamma=1)"),
        ("truncated(gamma=1e-3,soft=true)", "truncated(gamma=0.001,soft=True)"),
        ("truncated(limit=None,gamma=2)", "truncated(gamma=2)"),
        ("verified | unique(copies=3)", "verified|unique(copies=3)"),
        (" none ", "none"),
    ],
)
def test_canonical_spellings(text, canonical):
    assert spell_chain(parse_chain(text, KNOWN, "field"), KNOWN) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniqe", "no 'uniqe'; did you mean unique? allowed are verified, unique, truncated"),
        ("unique(copy=2)", "unique has no parameter 'copy'; did you mean copies? allowed are copies, by"),
        ("verified(copies=2)", "verified has no parameter 'copies'; verified has none"),
        ("unique(copies=two)", "copies = two: allowed is an integer"),
        ("unique(copies=2.5)", "copies = 2.5: allowed is an integer"),
        ("unique(copies=1,copies=2)", "copies is given twice"),
        ("unique(2)", "'2' is no parameter=value"),
        ("unique(by=a b)", "by = a b: allowed is a word"),
        ("truncated", "truncated needs gamma"),
        ("truncated(gamma=nan)", "gamma = nan: allowed is a number"),
        ("truncated(gamma=1e999)", "gamma = 1e999: allowed is a number"),
        ("truncated(gamma=1,soft=1)", "soft = 1: allowed is True or False"),
        ("truncated(gamma=1,limit=no)", "limit = no: allowed is a number or None"),
        ("truncated(gamma=-1)", "gamma = -1.0: allowed are numbers from 0"),
        ("verified|none", "none stands alone"),
        ("unique(copies=2", "allowed is a name, or name(parameter=value, …)"),
        ("", "allowed is a name, or name(parameter=value, …)"),
        ("verified||unique", "allowed is a name, or name(parameter=value, …)"),
    ],
)
def test_refusals_say_what_is_allowed(text, message):
    with pytest.raises(UsageError, match=re.escape(message) + "$") as error:
        parse_chain(text, KNOWN, "sweep.remedies")
    assert str(error.value).startswith("sweep.remedies = ")


def test_lists_are_split_outside_brackets():
    assert split("a, b(x=1, y=2),c", ",") == ["a", "b(x=1, y=2)", "c"]
    assert split("a(x=b|c)|d", "|") == ["a(x=b|c)", "d"]


def test_learners_have_names():
    assert parse("ngram(order=3)", LEARNERS, "sweep.learners") == NGram(3)
    assert [spell(parse(name, LEARNERS, ""), LEARNERS) for name in LEARNERS] == list(LEARNERS)
    assert spell(NGram(5), LEARNERS) == "ngram"
    with pytest.raises(UsageError, match=r"^sweep.learners = ngram\(order=0\): order = 0: allowed are 1 to 7$"):
        parse("ngram(order=0)", LEARNERS, "sweep.learners")
    with pytest.raises(UsageError, match="did you mean memoriser"):
        parse("memorizer", LEARNERS, "sweep.learners")
