import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.report.build import build_report, read_run
from eval.report.samples import LONGEST_SAMPLE, Shown, show_samples
from eval.report.terminal import print_findings
from logic.boolean.language import Boolean
from logic.boolean.symbols import encode
from logic.errors import UsageError
from loop.cell import Cell
from loop.storage.run_directory import RunDirectory
from tests import commands
from tests.columns import COLUMNS

pytestmark = pytest.mark.usefixtures("undrawn")  # but the reports of fixtures

LANGUAGE = Boolean(1, 3)
MARKUP = "<script>alert('x')</script> & <eos>"
WRITTEN = ["(not False)", "not False", "(not True)", "(True and", "", "(not False)"]


def rows_of(cells, generations):
    rng = np.random.default_rng(0)
    for t in range(generations):
        for cell in cells:
            row = dict.fromkeys(COLUMNS, 0.5) | cell.keys | {"generation": t}
            rate = 0.3 * (1 - cell.fresh_ratio)
            row["levenshtein_diversity"] = 0.5 * float(np.exp(-rate * t)) * rng.uniform(0.99, 1.01)
            row["semantic_correctness"] = min(1.0, 0.9 + 0.03 * t)
            yield row


def make_run(path, cycles=("full",), ratios=(0.0, 0.5), seeds=2, generations=4, planned=None, extra=(), samples=True):
    cells = [Cell(cycle, ratio, seed) for cycle in cycles for ratio in ratios for seed in range(seeds)]
    cells += [Cell("fresh", 1.0, seed) for seed in range(seeds)]
    run = RunDirectory(path)
    run.create({"loop": {"generations": planned or generations}, "note": MARKUP}, "2 x <cpu>")
    run.write_rows([*rows_of(cells, generations), *extra])
    if samples:
        expressions = encode(WRITTEN) * 4  # only the first ten are shown
        verdicts = LANGUAGE.verify(expressions)
        for t in range(generations):
            run.write_samples(t, dict.fromkeys(cells, (expressions, verdicts)))
    return run


class Page(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, html):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.words = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        for name, value in attributes:
            if name in ("src", "srcset", "data", "poster") or (name == "href" and tag != "a"):
                self.loads.append(value)
            elif name == "href":
                self.links.append(value)

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("report") / "demo")
    page = build_report([run])
    return run, page, page.read_text(encoding="utf-8")


def test_page_needs_nothing_else(report):
    _, _, html = report
    page = Page(html)
    assert len(page.loads) == 5
    assert all(load.startswith("data:image/svg+xml;base64,") for load in page.loads)
    assert page.links == ["https://arxiv.org/abs/2311.16822"]
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    style = html.split("<style>")[1].split("</style>")[0]
    assert "@import" not in style and "url(" not in style


def test_only_the_scripts_of_the_page_may_run(report):
    _, _, html = report
    page = Page(html)
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}, {}]
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    allowed = next(part for part in policy.split(";") if "script-src" in part).split()[1:]
    texts = [part.split("</script>")[0] for part in html.split("<script>")[1:]]
    assert allowed == [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts]
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy


@pytest.mark.slow
def test_page_without_the_chart_library(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    html = build_report([make_run(tmp_path / "run", samples=False)]).read_text(encoding="utf-8")
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag in ("script", "select")] and len(page.loads) == 5
    assert ("details", {"class": "print", "open": None}) in page.tags
    assert "vl-convert-python" in capsys.readouterr().err


def test_untrusted_text_is_escaped(report):
    _, _, html = report
    assert MARKUP not in html and "<script>alert" not in html and "<eos>" not in html and "<cpu>" not in html
    assert MARKUP in "".join(Page(html).text)
    assert "2 x <cpu>" in Page(html).words


def test_everything_is_on_the_page(report):
    run, page, html = report
    words = Page(html).words
    assert page == run.path / "report" / "index.html"
    assert words.count("✓ shown") == 2  # four generations do not tell whether the fall goes on
    assert "full, fresh 0.5: diversity -" in words and "after 4 generations" in words
    assert "full, φ = 0.5, seed 1" in words
    assert "generation 0" in words and "generation 2" in words and "generation 3" in words
    assert "generation 1" not in words.replace("generation 1,", "")
    assert run.config()["packages"]["numpy"] in words


def test_correctness_by_depth(report):
    """Counted by hand: of six samples, four of depth 1 (two correct) and two of depth 0 (one correct)."""
    _, page, html = report
    table = pd.read_csv(page.parent / "correctness_by_depth.csv")
    assert len(table) == 3 * 2  # groups and depths
    assert table["samples_first"].tolist() == [2 * 4 * 2, 2 * 4 * 4] * 3
    assert table["correctness_first"].tolist() == [0.5, 0.5] * 3
    assert (table["share_last"] == table["share_first"]).all() and set(table["generations"]) == {"0 and 3"}
    assert "full, fresh 0.5: correctness was 50.0% in generations 0 and 3 alike." in Page(html).words
    assert "Truth functions" not in html


def test_files_are_beside_the_page(report):
    run, page, _ = report
    names = ["headline", "correctness", "diversity", "unique", "entropy"]
    files = [f"{name}.{kind}" for name in names for kind in ("png", "svg", "csv")]
    tables = [
        "comparisons",
        "correctness_by_depth",
        "correctness_change",
        "measures",
        "summary_cells",
        "summary_groups",
    ]
    expected = sorted([*files, "index.html", *(f"{name}.csv" for name in tables)])
    assert sorted(path.name for path in page.parent.iterdir()) == expected
    assert not list(run.path.glob(".report*"))
    cells = pd.read_csv(page.parent / "summary_cells.csv")
    metrics = pd.read_csv(run.path / "metrics.csv")
    last = metrics[metrics["generation"] == 3].set_index(["cycle", "fresh_ratio", "seed"])["levenshtein_diversity"]
    found = cells.set_index(["cycle", "fresh_ratio", "seed"])["diversity_last"]
    pd.testing.assert_series_equal(found, last, check_names=False)
    pairs = pd.read_csv(page.parent / "comparisons.csv").set_index(["cycle", "fresh_ratio", "other"])
    change = cells.set_index(["cycle", "fresh_ratio", "seed"])["diversity_change"]
    for cycle, ratio, other in pairs.index:
        difference = change[cycle][other].mean() - change[cycle][ratio].mean()
        assert pairs.loc[(cycle, ratio, other), "mean"] == pytest.approx(difference)


def test_the_first_samples_are_shown_in_their_order(report):
    _, _, html = report
    column = html.split('id="samples"')[1].split('<ul class="samples">')[1].split("</ul>")[0]
    items = [(tag, a) for tag, a in Page(column).tags if tag == "li"]
    assert [a["class"] for _, a in items] == [
        *("support", "correct", "syntactic", "malformed", "malformed", "support repeat"),
        *("support repeat", "correct repeat", "syntactic repeat", "malformed repeat"),
    ]
    assert Page(column).words.startswith("● (not False) ◆ not False ▲ (not True) ✕ (True and ✕ ∅ ● (not False)")


def test_long_samples_are_cut():
    expressions = encode(["(" * 500, "(not False)"])
    long, short = show_samples(LANGUAGE, expressions, LANGUAGE.verify(expressions))
    assert long.text == f"{'(' * LONGEST_SAMPLE} … (500 symbols)"
    assert short == Shown("(not False)", "support")


@pytest.mark.slow
def test_a_new_report_replaces_the_old_one(tmp_path):
    run = make_run(tmp_path / "run", samples=False)
    page = build_report([run])
    (page.parent / "stale.png").write_text("old")
    build_report([run])
    assert page.exists() and not (page.parent / "stale.png").exists()


@pytest.mark.slow
def test_a_failed_report_leaves_the_old_one(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", samples=False)
    page = build_report([run])
    before = page.read_bytes()

    def fail(*args):
        raise RuntimeError("disk on fire")

    monkeypatch.setattr("eval.report.figures.draw_all", fail)
    with pytest.raises(RuntimeError, match="fire"):
        build_report([run])
    assert page.read_bytes() == before
    assert not list(run.path.glob(".report*"))


@pytest.mark.slow
def test_there_is_a_whole_report_at_every_moment(tmp_path, monkeypatch):
    """Before every replacement of a file the old page is there, and the new page comes last."""
    run = make_run(tmp_path / "run", samples=False)
    page = build_report([run])
    (page.parent / "stale.png").write_text("old")
    page.write_text("old page")
    before, order, replace = sorted(p.name for p in page.parent.iterdir()), [], Path.replace

    def watched(self, target):
        assert page.read_text() == "old page" and not set(before) - {p.name for p in page.parent.iterdir()}
        order.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    build_report([run])
    assert order[-1] == "index.html" and len(order) == len(before) - 1
    assert sorted(p.name for p in page.parent.iterdir()) == sorted(order)


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    status = {"cycle": "full", "fresh_ratio": 0.0, "seed": 7, "generation": 0, "status": "\x1b[2J[bold]ended"}
    print_findings(read_run(make_run(tmp_path / "run", generations=1, samples=False, extra=[status])))
    out = capsys.readouterr().out
    assert r"\x1b[2J[bold]ended" in out and "\x1b" not in out


@pytest.mark.slow
def test_damaged_samples_are_left_out_and_said(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    build_report([run])
    assert capsys.readouterr().err == ""
    for path in run.samples_path(0).glob("*array_record*"):
        path.write_bytes(path.read_bytes()[:-1])
    build_report([run])
    err = capsys.readouterr().err
    assert "no samples of generation 0: " in err and "is damaged" in err and "generation 1" not in err


@pytest.mark.slow
def test_a_run_that_goes_on_and_one_with_ended_cells(tmp_path):
    status = {"cycle": "full", "fresh_ratio": 0.0, "seed": 7, "generation": 0, "status": "loss not finite at step 9"}
    run = make_run(tmp_path / "run", generations=1, planned=6, samples=False, extra=[status])
    words = Page(build_report([run]).read_text(encoding="utf-8")).words
    assert "not finished: 1 of 6 generations" in words
    assert "Cells that ended early" in words and "loss not finite at step 9" in words
    assert words.count("? cannot be decided from this run") == 3
    assert "No samples could be read." in words


@pytest.mark.slow
def test_several_runs_are_compared_in_the_first(tmp_path):
    first = make_run(tmp_path / "a" / "run", samples=False)
    second = make_run(tmp_path / "b" / "run", cycles=("balanced",), planned=5, samples=False)
    page = build_report([first, second, first])
    assert page.parent.parent == first.path and not second.report.exists()
    words = Page(page.read_text(encoding="utf-8")).words
    assert "Summary: a/run" in words and "Summary: b/run" in words
    assert set(pd.read_csv(page.parent / "summary_groups.csv")["run"]) == {"a/run", "b/run"}
    measures = pd.read_csv(page.parent / "measures.csv")
    assert list(measures["run"].unique()) == ["a/run", "b/run"] and list(measures.columns[1:]) == list(COLUMNS)


@pytest.mark.slow
def test_runs_that_differ_in_the_sweep_only_are_one_analysis(tmp_path):
    first = make_run(tmp_path / "a" / "run", samples=False)
    second = make_run(tmp_path / "b" / "run", cycles=("balanced",), samples=False)
    page = build_report([first, second])
    cells = pd.read_csv(page.parent / "summary_cells.csv")
    assert set(cells["run"]) == {"a/run + b/run"}
    assert cells["cycle"].value_counts().to_dict() == {"full": 4, "balanced": 4, "fresh": 2}


def test_without_rows_there_is_nothing_to_report(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(UsageError, match="holds no run"):
        build_report([run])
    run.create({"loop": {}}, "cpu")
    with pytest.raises(UsageError, match="no generation is finished yet"):
        build_report([run])
    with pytest.raises(UsageError, match="no generation is finished yet"):
        print_findings(read_run(run))
    assert not run.report.exists()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    return build_report(
        [make_run(folder / "run", ("full", "balanced"), (0.0, 0.25, 0.5), seeds=3, generations=20, samples=False)]
    )


@pytest.mark.slow
def test_the_page_of_a_large_run_is_small(large):
    assert 100_000 < large.stat().st_size < 5_000_000


def test_findings_are_printed(report, capsys):
    run, _, _ = report
    print_findings(read_run(run))
    out = capsys.readouterr().out
    assert out.count("SHOWN") == 2 and out.count("CANNOT BE DECIDED") == 1
    row = next(line for line in out.splitlines() if "full" in line and " 0.5 " in line)
    change = np.exp(-0.15 * 3) - 1
    assert f"\N{MINUS SIGN}{abs(change):.0%}"[:2] in row and "[" in row
    assert "90\N{NO-BREAK SPACE}% → 99\N{NO-BREAK SPACE}%" in row


def command(*arguments):
    return commands.run("eval.report", *arguments)


@pytest.mark.slow
def test_command(report, tmp_path):
    run, page, _ = report
    done = command(f"--workdir={run.path}")
    assert (done.returncode, done.stdout) == (0, f"{page}\n")
    assert done.stderr == ""
    missing = command(f"--workdir={tmp_path / 'none'}")
    assert missing.returncode == 2 and missing.stdout == ""
    assert missing.stderr.count("\n") == 1 and "holds no run" in missing.stderr
    assert "--workdir is missing" in command().stderr


def test_importing_the_module_defines_no_flags_and_loads_nothing_slow():
    code = (
        "import sys, eval.report.__main__\nfrom absl import flags\nassert 'workdir' not in flags.FLAGS\n"
        "slow = {'pandas', 'matplotlib', 'jinja2', 'rich', 'scipy', 'jax', 'tensorflow_datasets', 'vl_convert'}\n"
        "slow |= {'loop.training', 'launch'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
