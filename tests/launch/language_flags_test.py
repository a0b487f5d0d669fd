"""The language that a command's flags describe."""

import json
import subprocess
import textwrap

import pytest

from tests.launch.cli_test import refusal, run

OTHER = """
    import dataclasses, runpy, sys
    sys.path.insert(0, ".")
    from logic import languages
    from logic.language import Language, Verdict

    @dataclasses.dataclass(frozen=True)
    class Runs(Language):
        name: str = dataclasses.field(default="runs", kw_only=True)
        max_depth: int = 3  # symbols of the longest run
        vocabulary = ("<eos>", "a")
        verdicts = (Verdict("short", *"short,short,short,long,long,short,+".split(",")),)

        def sample(self, n, rng):
            return [bytes([1] * k) for k in rng.integers(1, self.max_depth + 1, n).tolist()]

        def verify(self, samples):
            return {"short": [0 < len(e) <= self.max_depth for e in samples]}

    languages.LANGUAGES["runs"] = Runs
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_commands_ask_the_language(tmp_path):
    file = tmp_path / "other.py"
    file.write_text(textwrap.dedent(OTHER))

    def other(*args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return run(file, *args, stdin=stdin)

    written = other("logic.generate", "--language=runs", "--max_depth=2", "--n=50")
    assert (written.returncode, set(written.stdout.split(b"\n"))) == (0, {b"a", b"a a", b""})
    verified = other("logic.verify", "--language=runs", "--max_depth=2", stdin=b"a\na a a\nb a\n\n")
    assert verified.stdout == b"expression,short\na,1\na a a,0\nb a,1\n,0\n"
    default = other("logic.verify", "--language=runs", stdin=b"a a a\n")  # its own default, not that of another one
    assert default.stdout == b"expression,short\na a a,1\n"
    line = refusal(other("logic.verify", "--language=runs", "--num_variables=2"))
    assert "--num_variables: the language runs has no such field, boolean has" in line
    text = other("logic.verify", "--help").stdout.decode()
    assert "boolean: and at most this deep, min_depth to 12; runs: symbols of the longest run." in text


@pytest.mark.slow
@pytest.mark.parametrize("command", ["logic.generate", "logic.verify", "eval.diversity"])
def test_flags_of_the_language_are_those_of_its_fields(command):
    text = run("-m", command, "--help").stdout.decode()
    for flag in ("--language=boolean", "--min_depth=1", "--max_depth=5", "--num_variables=0", "--[no]constants"):
        assert flag in text
    assert "none (the paper's), or the first of p, q, r, s." in text
    line = refusal(run("-m", command, "--language=bolean"))
    assert "--language=bolean" in line and "boolean" in line


@pytest.mark.slow
def test_diversity_knows_variables():
    found = json.loads(run("-m", "eval.diversity", "--num_variables=2", stdin=b"(p or (not p))\n(p or q)\n").stdout)
    assert (found["semantic_correctness"], found["rows_true"], found["tv_functions"] > 0) == (0.5, 7 / 8, True)
    without = json.loads(run("-m", "eval.diversity", stdin=b"(not False)\n").stdout)
    assert not {"rows_true", "tv_functions"} & set(without)
