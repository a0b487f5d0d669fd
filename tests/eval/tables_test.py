"""Tables of pages against the files that they are made of; first of all those of the project's own pages."""

import re
from pathlib import Path

import pytest

from eval.tables import fill, main
from logic.errors import UsageError

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [path for path in sorted(DOCS.glob("*.md")) if "<!-- table of " in path.read_text(encoding="utf-8")]
NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?\d[\d,]*\.?\d*")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_tables_of_the_docs_are_those_of_their_files(page):
    text = page.read_text(encoding="utf-8")
    assert fill(text, DOCS) == text, f"python -m eval.tables {page.relative_to(DOCS.parent)} makes them anew"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_results_in_sentences_stand_in_a_table_of_the_page(page):
    """Every number with a decimal point or a percent sign, outside of tables, code and settings."""
    if page.name != "results.md":
        pytest.skip("only the page of results has nothing but results")
    text = page.read_text(encoding="utf-8")
    tables = set(NUMBER.findall("".join(re.findall(r"^\|.*\n", text, re.MULTILINE))))
    tables |= {number.lstrip("+\N{MINUS SIGN}-") for number in tables}
    prose = re.sub(r"<!--.*?-->|```.*?```|`[^`]*`|^\|.*\n|\[[^]]*\]\([^)]*\)", "", text, flags=re.DOTALL | re.MULTILINE)
    said = re.findall(r"(?<![\w.=≈τφ])([-+\N{MINUS SIGN}]?\d+\.\d+|[-+\N{MINUS SIGN}]?\d+(?= ?%))(?![\w.]*\d)", prose)
    settings = {"95"}  # of all intervals
    assert [number for number in said if number.lstrip("+") not in tables | settings] == []


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data.csv").write_text(
        "cycle,ratio,change,low,high\nfull,0.0,-0.5,-0.61,-0.4\nfull,0.5,,,\nfresh,1.0,-0.001,,\n"
    )
    return tmp_path


TEMPLATE = "change: {change:+.0%} [{low:+.0%}, {high:+.0%}]"


def page(*lines):
    return "\n".join(["# Title", "", "<!-- table of data.csv", *lines, "-->", "", "After.", ""])


def test_a_table_is_made_and_made_again(folder):
    minus = "\N{MINUS SIGN}"
    made = fill(page("where: cycle = full, fresh", "φ: {ratio:.1f}", TEMPLATE), folder)
    assert made.splitlines()[7:13] == [
        "| φ | change |",
        "| --- | --- |",
        f"| 0.0 | {minus}50% [{minus}61%, {minus}40%] |",
        "| 0.5 |  |",
        "| 1.0 | 0% |",
        "",
    ]
    assert fill(made, folder) == made
    assert fill(made.replace("50%", "99%"), folder) == made
    assert "fresh" not in fill(page("where: cycle = full; ratio = 0.0", "cycle: {cycle}"), folder)


def test_headings_may_repeat_and_bars_end_no_cell(folder):
    (folder / "data.csv").write_text("remedy,a,b\nverified|unique,1,2\n")
    made = fill(page("remedy: `{remedy}`", "x: {a}", "x: {b}"), folder)
    assert made.splitlines()[7:10] == ["| remedy | x | x |", "| --- | --- | --- |", "| `verified\\|unique` | 1 | 2 |"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a: {nothing}"], "there is no such column; there are cycle, ratio"),
        (["a: {cycle:.1f}"], "'full' cannot be written"),
        (["where: cycle = none", "a: {cycle}"], "no row"),
    ],
)
def test_what_cannot_be_filled_is_said(folder, lines, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        fill(page(*lines), folder)


def test_the_command_fills_a_page_in_place_or_says_what_is_missing(folder):
    path = folder / "page.md"
    path.write_text(page("cycle: {cycle}"))
    main(["", str(path)])
    assert "| fresh |" in path.read_text()
    (folder / "data.csv").unlink()
    with pytest.raises(UsageError, match=r"data.csv: there is no such file"):
        main(["", str(path)])
    with pytest.raises(UsageError, match="no such page"):
        main(["", str(folder / "nothing.md")])


def test_files_that_are_no_tables_and_pages_that_are_no_text_are_refused(folder):
    for content in (b"", b"\xff\xfe\x00"):
        (folder / "data.csv").write_bytes(content)
        with pytest.raises(UsageError, match=r"data.csv is no table in CSV"):
            fill(page("cycle: {cycle}"), folder)
    (folder / "page.md").write_bytes(b"\xf7")
    with pytest.raises(UsageError, match=r"page.md is no text in UTF-8"):
        main(["", str(folder / "page.md")])
    assert (folder / "page.md").read_bytes() == b"\xf7"
