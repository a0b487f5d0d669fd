"""logic.generate and logic.verify on languages with variables, as their users see them."""

import csv
import io
import subprocess

import pytest

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import encode
from logic.boolean.verifier import verify
from tests import commands


def run(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return commands.run(*args, stdin=stdin)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "leaves"), [(["--num_variables=3"], (3, True)), (["--num_variables=1", "--constants=false"], (1, False))]
)
def test_what_is_generated_is_verified(flags, leaves):
    written = run("logic.generate", "--n=300", "--max_depth=3", *flags)
    assert (written.returncode, written.stderr) == (0, "")
    lines = written.stdout.splitlines()
    assert verify(encode(lines, leaves[0]), Grammar(1, 3, *leaves)).in_support.all() and len(lines) == 300
    assert written.stdout == run("logic.generate", "--n=5000", "--max_depth=3", *flags).stdout[: len(written.stdout)]
    verified = run("logic.verify", "--max_depth=3", *flags, stdin=written.stdout)
    header, *rows = csv.reader(io.StringIO(verified.stdout))
    assert header == ["expression", "syntactic", "semantic", "in_support", "rows_true"]
    assert rows == [[line, "1", "1", "1", "1"] for line in lines]


def test_rows_that_are_true():
    lines = ["p", "p and q and r and s", "p or q or r or s", "p or not p", "(True)", "p q", "", "t", '"a,b"', "False"]
    done = run("logic.verify", "--num_variables=4", stdin="\n".join(lines) + "\n")
    rows = list(csv.reader(io.StringIO(done.stdout)))[1:]
    assert [row[0] for row in rows] == lines
    assert [row[4] for row in rows] == ["0.5", "0.0625", "0.9375", "1", "1", "0", "0", "0", "0", "0"]
    assert [row[1] for row in rows] == list("1111100001") and [row[2] for row in rows] == list("0001100000")
    assert run("logic.verify", "--num_variables=1").stdout == "expression,syntactic,semantic,in_support,rows_true\n"


def test_without_variables_there_are_three_verdicts():
    done = run("logic.verify", stdin="(True or True)\np\n")
    assert done.stdout == "expression,syntactic,semantic,in_support\n(True or True),1,1,1\np,0,0,0\n"


@pytest.mark.parametrize("command", ["logic.generate", "logic.verify"])
@pytest.mark.parametrize("flag", ["--num_variables=5", "--num_variables=-1", "--constants=false"])
def test_impossible_languages_are_refused_in_one_line(command, flag):
    done = run(command, flag)
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert "allowed" in line and flag[2:].split("=")[0] in line
