"""The commands of logic as their users see them: output, exit status, and one line for a mistake."""

import csv
import io
import os
import pty
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from eval.diversity import _character
from logic.boolean.grammar import Grammar
from logic.boolean.symbols import UNKNOWN, encode
from logic.boolean.verifier import verify
from logic.errors import UsageError, printable, usage_errors
from logic.lines import CHUNK_LINES, read_lines
from tests import commands

ROOT = Path(__file__).resolve().parents[2]


def run(*args: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    if args[0] == "-m":
        started = commands.Started(str(args[1]), *args[2:], stdin=stdin)
        status = started.wait(600)
        assert status is not None
        return subprocess.CompletedProcess(started.args, status, *started.written())
    return subprocess.run([sys.executable, *map(str, args)], input=stdin, capture_output=True, cwd=ROOT, timeout=600)


def generate(*args: str) -> list[str]:
    done = run("-m", "logic.generate", *args)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().split("\n")[:-1]


def rows(output: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(output.decode(), newline="")))


def refusal(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line of a refusal."""
    assert done.returncode == 2, done
    (line,) = done.stderr.decode().splitlines()
    return line


def test_generate_writes_true_expressions():
    lines = generate("--n=500", "--min_depth=2", "--max_depth=3", "--seed=1")
    assert len(lines) == 500
    assert verify(encode(lines), Grammar(2, 3)).in_support.all()


@pytest.mark.slow
def test_generate_is_determined_by_its_seed_and_not_by_n():
    lines = generate("--n=10000")
    assert lines == generate("--n=10000", "--seed=0", "--min_depth=1", "--max_depth=5")
    assert generate("--n=4097") == lines[:4097] and generate("--n=3") == lines[:3]
    assert generate("--n=3", "--seed=1") != lines[:3]
    assert generate("--n=0") == []
    assert len(generate()) == 1000
    assert lines[:4096] != lines[4096:8192]


def test_verify_prints_one_row_per_line():
    lines = ["(not False)", "True or False", "", " ", "True,", '"', "(not  False)\r", "f\u00fcr", "((", "False"]
    lines += ["\u2028True\x85", "\x0cTrue and True"]
    done = run("-m", "logic.verify", stdin="\n".join(lines).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    header, *body = rows(done.stdout)
    assert header == ["expression", "syntactic", "semantic", "in_support"]
    assert [row[0] for row in body] == lines
    verdicts = ["111", "110", "000", "000", "000", "000", "111", "000", "000", "100", "110", "110"]
    assert ["".join(row[1:]) for row in body] == verdicts
    assert b"(not False),1,1,1\nTrue or False,1,1,0\n,0,0,0\n" in done.stdout  # no quotes without need


@pytest.mark.slow
def test_verify_reads_a_file_or_standard_input(tmp_path):
    lines = generate("--n=2000", "--max_depth=2")
    file = tmp_path / "with space.txt"
    file.write_text("\n".join(lines) + "\n")
    from_file = run("-m", "logic.verify", file)
    assert from_file.stdout == run("-m", "logic.verify", "-", stdin=file.read_bytes()).stdout
    assert rows(from_file.stdout)[1:] == [[line, "1", "1", "1"] for line in lines]
    bounds = run("-m", "logic.verify", "--min_depth=2", "--max_depth=2", file).stdout
    expected = verify(encode(lines), Grammar(2, 2)).in_support.astype(int).astype(str).tolist()
    assert [row[3] for row in rows(bounds)[1:]] == expected and set(expected) == {"0", "1"}


@pytest.mark.parametrize(("stdin", "count"), [(b"", 0), (b"\n", 1), (b"True", 1), (b"\n\n", 2), (b"\nTrue", 2)])
def test_verify_counts_lines(stdin, count):
    assert len(rows(run("-m", "logic.verify", stdin=stdin).stdout)) == 1 + count


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("generate", "--n=-1"), ["--n=-1", "non-negative"]),
        (("generate", "--seed=-1"), ["--seed=-1", "non-negative"]),
        (("generate", "--n=many"), ["--n=many", "integer"]),
        (("generate", "--n"), ["--n"]),
        (("generate", "--min_depth=6"), ["min_depth = 6", "max_depth = 5", "allowed"]),
        (("generate", "--max_depth=13"), ["max_depth = 13", "12"]),
        (("generate", "--depth=3"), ["'depth'", "--help"]),
        (("generate", "--sed=3"), ["'sed'", "seed"]),
        (("generate", "surplus"), ["'surplus'", "flags"]),
        (("verify", "--min_depth=2", "--max_depth=1"), ["min_depth = 2", "max_depth = 1", "allowed"]),
        (("verify", "missing.txt"), ["'missing.txt'", "No such file"]),
        (("verify", "logic"), ["'logic'", "directory"]),
        (("verify", "a", "b"), ["'b'", "one file"]),
    ],
)
def test_a_mistake_is_one_line(args, words):
    line = refusal(run("-m", f"logic.{args[0]}", *args[1:]))
    assert line.startswith(f"logic.{args[0]}: ")
    assert all(word in line for word in words), line


@pytest.mark.slow
def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes(b"True\n" * (CHUNK_LINES + 1) + b"f\xfcr\n")
    line = refusal(run("-m", "logic.verify", file))
    assert "latin.txt" in line and f"line {CHUNK_LINES + 2}:" in line and "0xfc" in line and "UTF-8" in line
    assert "standard input, line 1:" in refusal(run("-m", "logic.verify", stdin=b"\xff"))


@pytest.mark.parametrize("module", ["logic.generate", "logic.verify"])
@pytest.mark.parametrize("flag", ["--help", "--helpfull"])
def test_help(module, flag):
    done = run("-m", module, flag)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert f"python -m {module}" in text and "max_depth" in text
    assert ("--max_depth=5" in text and "pdb" not in text) == (flag == "--help")


def test_commands_start_without_heavy_imports():
    heavy = {"jax", "flax", "tensorflow_datasets", "tensorflow", "scipy", "ml_collections"}
    code = f"import sys, logic.generate, logic.verify; print(sorted({heavy} & set(sys.modules)))"
    assert run("-c", code).stdout == b"[]\n"
    heavy -= {"ml_collections"}  # which configurations are made of
    code = f"import sys, launch.main, launch.plan, launch.slurm; print(sorted({heavy} & set(sys.modules)))"
    assert run("-c", code).stdout == b"[]\n"


def test_a_reader_that_leaves_ends_the_command_quietly():
    command = [sys.executable, "-m", "logic.generate", "--n=1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"(")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=600) == 141


PROGRAM = """
    '''A program.'''
    from absl import flags
    from launch import cli
    from logic.errors import UsageError, usage_errors
    RAISES = flags.DEFINE_string("raises", "", "what to raise")
    QUIET = flags.DEFINE_bool("quiet", False, "say nothing")

    def main(argv):
        print("before")
        exec(RAISES.value)

    if __name__ == "__main__":
        cli.run(main)
"""


@pytest.fixture
def program(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


@pytest.mark.parametrize(
    ("statement", "status", "stderr"),
    [
        ("pass", 0, ""),
        (
            "raise UsageError('size = 3:\\nallowed are 1 and 2')",
            2,
            "program.py: size = 3: allowed are 1 and 2\n",
        ),
        ("with usage_errors(): raise ValueError('bad')", 2, "program.py: bad\n"),
        ("raise KeyboardInterrupt", 130, ""),
        ("raise BrokenPipeError", 141, ""),
    ],
)
def test_exit_statuses(program, statement, status, stderr):
    done = run(program, f"--raises={statement}")
    assert (done.returncode, done.stderr.decode()) == (status, stderr)
    assert done.stdout in (b"before\n", b"") and (status > 2 or done.stdout)


@pytest.mark.parametrize("error", ["ValueError", "KeyError", "TypeError", "OSError"])
def test_programming_errors_keep_their_traceback(program, error):
    done = run(program, f"--raises=raise {error}('bug')")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr and f"{error}: ".encode() in done.stderr


def test_a_wrong_boolean_is_explained(program):
    assert "--quiet=x: allowed are true and false" in refusal(run(program, "--quiet=x"))


CONFIG = """
    from ml_collections import ConfigDict
    def get_config(kind="good"):
        if kind == "refused":
            raise ValueError("kind = 'refused': allowed is 'good'")
        if kind == "bug":
            return ConfigDict().nothing.here
        return ConfigDict({"model": {"width": 64, "dropout": 0.1}, "seeds": (0, 1)})
"""


@pytest.fixture
def configured(program) -> Path:
    pytest.importorskip("ml_collections")
    define = (
        "from ml_collections import config_flags\nconfig_flags.DEFINE_config_file('config', None, 'configuration')\n"
    )
    program.write_text(program.read_text().replace("RAISES =", define + "RAISES ="))
    program.with_name("config.py").write_text(textwrap.dedent(CONFIG))
    return program


@pytest.mark.parametrize(
    ("file", "override", "words"),
    [
        ("config.py", "--config.model.widht=3", ["--config.model.widht=3", "no such field", "'width'"]),
        ("config.py", "--config.modle.width=3", ["--config.modle.width=3", "no such field", "'model'"]),
        ("config.py", "--config.model.width.x=3", ["--config.model.width.x=3", "no such field"]),
        ("config.py", "--config.zzz=3", ["--config.zzz=3", "no such field"]),
        ("config.py", "--config.model.width=wide", ["--config.model.width=wide", "integer"]),
        ("config.py", "--config.model.dropout=x", ["--config.model.dropout=x", "number"]),
        ("missing.py", "--quiet", ["configuration file", "missing.py"]),
        ("missing.py", "--config.model.width=3", ["configuration file", "missing.py"]),
        ("config.py:refused", "--quiet", ["kind = 'refused': allowed is 'good'"]),
    ],
)
def test_mistakes_in_a_configuration_are_one_line(configured, file, override, words):
    line = refusal(run(configured, f"--config={configured.with_name(file)}", override))
    assert all(word in line for word in words), line


def test_a_bug_in_a_configuration_file_keeps_its_traceback(configured):
    done = run(configured, f"--config={configured.with_name('config.py')}:bug")
    assert done.returncode == 1 and b"Traceback" in done.stderr and b"in get_config" in done.stderr


def test_a_good_configuration_passes(configured):
    done = run(
        configured, f"--config={configured.with_name('config.py')}", "--config.model.width=128", "--config.seeds=(2,3)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"before\n", b"")


def test_read_lines_in_chunks(tmp_path):
    file = tmp_path / "lines"
    lines = [str(i) for i in range(2 * CHUNK_LINES + 10)] + ["", "x" * 10_000_000, "\r", "last\u2028 one"]
    file.write_text("\n".join(lines), newline="\n")
    chunks = list(read_lines(str(file)))
    assert [line for chunk in chunks for line in chunk] == lines
    assert all(1 <= len(chunk) <= CHUNK_LINES for chunk in chunks) and len(chunks) < 8
    file.write_text("")
    assert list(read_lines(str(file))) == []


@pytest.mark.slow
@pytest.mark.parametrize("module", ["logic.verify", "eval.diversity"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(module, tmp_path):
    text = b"(not False)\n(not False)\n"
    file = tmp_path / "from_an_editor.txt"
    file.write_bytes(b"\xef\xbb\xbf" + text)
    plain = run("-m", module, stdin=text)
    assert run("-m", module, file).stdout == plain.stdout != b""
    assert run("-m", module, stdin=file.read_bytes()).stdout == plain.stdout


def test_words_that_are_too_many_to_be_told_apart_are_refused():
    last = sys.maxunicode - 0x800 - UNKNOWN
    assert len({_character(i) for i in (0, 0xD800 - UNKNOWN - 1, 0xD800 - UNKNOWN, last)}) == 4
    with pytest.raises(UsageError, match=f"more than {last + 1:,} different words"):
        _character(last + 1)


def test_the_consumers_errors_are_its_own(tmp_path):
    """An OSError while a chunk is being used is not a failure to read."""
    (tmp_path / "lines").write_text("a\n")
    with pytest.raises(OSError, match="disk full"):
        for _ in read_lines(str(tmp_path / "lines")):
            raise OSError("disk full")


def test_usage_errors_wraps_value_errors_only():
    with pytest.raises(UsageError, match="bad"), usage_errors():
        raise ValueError("bad")
    with pytest.raises(TypeError), usage_errors():
        raise TypeError


EVIL = "\x1b[2J\x1b]0;title\x07\x9b31m\u202eTrue\r\x7f"  # clears, renames, colours, turns round, overwrites


def test_what_moves_a_terminal_is_shown_as_text():
    assert printable(EVIL) == r"\x1b[2J\x1b]0;title\x07\x9b31m\u202eTrue\r\x7f"
    plain = "(True and [bold]φ[/bold])\tüç → 🙂\n"
    assert printable(plain) == plain


def test_a_refusal_shows_control_characters_as_text():
    done = run("-m", "logic.verify", f"none{EVIL}.txt".replace("\0", ""))
    line = refusal(done)
    assert line.isprintable() and "x1b[2J" in line


def test_verify_changes_no_byte_in_a_file_and_escapes_on_a_terminal():
    line = f"(not False){EVIL.replace(chr(13), '')}"
    plain = run("-m", "logic.verify", stdin=line.encode())
    assert rows(plain.stdout)[1] == [line, "0", "0", "0"]
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "logic.verify"], input=line.encode(), stdout=theirs, cwd=ROOT, timeout=600, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 0 and r"(not False)\x1b[2J" in shown
    assert shown.replace("\r\n", "").isprintable()
