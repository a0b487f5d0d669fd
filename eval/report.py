"""Makes a run's report, or a comparison of several runs: report/index.html, with figures and tables beside it.

    python -m eval.report --workdir=DIR [DIR2 …]

The report lies in DIR; its path is printed. A run that is still going can be reported on at any time.
"""

import base64
import contextlib
import dataclasses
import errno
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from eval.cell import Cell
from eval.files import write_atomically
from eval.run_directory import RunDirectory
from eval.shares import SharedRun, open_run
from logic import command

if TYPE_CHECKING:
    import pandas as pd

    from eval.decline import Comparison
    from eval.findings import Finding
    from eval.statistics import Summary

QUESTION = (
    "What happens to a language model that is trained on what its predecessor wrote, generation after generation?"
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What the report says of one run."""

    label: str
    directory: RunDirectory
    record: dict[str, Any]  # config.json
    metrics: "pd.DataFrame"
    statuses: list[Mapping[str, Any]]
    summary: "Summary"
    findings: "list[Finding]"
    comparisons: "list[Comparison]"  # of fresh ratios on common seeds
    declines: list[str]  # one sentence per (cycle, fresh ratio): by how much diversity fell, and whether it goes on

    @property
    def state(self) -> str:
        """How far the run is."""
        last = int(self.metrics["generation"].max())
        planned = self.record["config"].get("loop", {}).get("generations", last + 1)
        if isinstance(self.directory, SharedRun) and (missing := self.directory.unfinished()):
            some = ", ".join(f"{i} ({how})" for i, how in list(missing.items())[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            return f"not finished: of {len(self.directory.shares)} shares, these are missing: {some}{more}"
        if last + 1 < planned and len(self.statuses) < len(self.summary.cells):
            return f"not finished: {last + 1} of {planned} generations are there"
        return f"{last + 1} generations"


def read_run(directory: RunDirectory, label: str = "") -> Run:
    """Reads and summarises a run. Raises UsageError where there is no run, or none of its generations is finished."""
    from eval import decline, findings, statistics

    record = directory.config()
    metrics, statuses = statistics.tables(directory.rows())
    if metrics.empty:
        raise command.UsageError(f"--workdir {directory.path}: no generation is finished yet, nothing to report")
    summary = statistics.summary(metrics, statuses)
    found, sentences, comparisons = findings.findings(metrics), decline.sentences(metrics), decline.comparisons(metrics)
    return Run(label, directory, record, metrics, statuses, summary, found, comparisons, sentences)


def _labels(directories: Sequence[RunDirectory]) -> list[str]:
    """The directories' names, with as many parents as it takes to tell them apart."""
    paths = [directory.path for directory in directories]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        labels = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(labels)) == len(labels):
            break
    return labels


# Numbers as text, for the page and the terminal alike.


def _missing(value: Any) -> bool:
    import pandas as pd

    return value is None or bool(pd.isna(value))


def _number(value: Any, unit: str) -> str:
    """A figure of the summary. `unit`: `%` of a fraction, `+%` of a change, `t` of a generation, or plain."""
    from eval.findings import percent

    if _missing(value):
        return "–"  # noqa: RUF001 (a dash in a table)
    if unit in ("%", "+%"):
        return percent(value, signed=unit == "+%")
    return f"{value:.1f}".removesuffix(".0") if unit == "t" else f"{value:.3f}"


def _interval(row: Mapping[str, Any], name: str, unit: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if _missing(low) else f"[{_number(low, unit)}, {_number(high, unit)}]"


def _span(row: Mapping[str, Any], name: str, unit: str) -> str:
    return f"{_number(row[f'{name}_first'], unit)} → {_number(row[f'{name}_last'], unit)}"


def _event(row: Mapping[str, Any], name: str) -> str:
    """The mean generation of an event, or in how many cells it happened at all."""
    reached, cells = row[f"{name}_reached"], row["cells"]
    return _number(row[name], "t") if reached == cells else f"in {reached} of {cells}" if reached else "not reached"


def print_findings(directory: RunDirectory) -> None:
    """Prints a run's summary and findings to standard output. Raises UsageError if there is nothing to summarise."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table

    run = read_run(directory)
    # The console's own width, but where the output goes to a file lines should not be cut at 80.
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"First → last generation ({run.state}), means over seeds", title_justify="left")
    for header in ("cycle", "φ", "seeds", "diversity", "change [95 %]", "semantically correct", "unique"):
        table.add_column(header, justify="left" if header == "cycle" else "right")
    for row in run.summary.groups.to_dict("records"):
        table.add_row(
            row["cycle"],
            f"{row['fresh_ratio']:g}",
            str(row["cells"]),
            _span(row, "diversity", ""),
            f"{_number(row['diversity_change'], '+%')} {_interval(row, 'diversity_change', '+%')}".strip(),
            _span(row, "semantic_correctness", "%"),
            _span(row, "unique_fraction", "%"),
        )
    console.print(table)
    console.print("\nFall of diversity; for few seeds the intervals are Student's t, wider than the table's bootstrap:")
    console.print(Padding("\n".join(run.declines), (0, 0, 0, 3)))
    for i, finding in enumerate(run.findings, 1):
        console.print(f"\n{i}. {finding.claim} {finding.verdict.upper()}", style="bold")
        console.print(Padding(finding.sentence, (0, 0, 0, 3)))
    for row in run.summary.cells[run.summary.cells["status"] != ""].to_dict("records"):
        cell = Cell.of(row)
        console.print(f"\n{cell.name} ended early: {command.printable(row['status'])}")


def _render(runs: Sequence[Run], folder: Path) -> str:
    """Writes figures and tables into the folder and returns the page."""
    import jinja2
    import pandas as pd

    from eval import charts, figures, findings, page_data, statistics

    drawn = figures.draw_all({run.label: run.metrics for run in runs}, folder)
    for part in ("cells", "groups"):
        tables = [getattr(run.summary, part).assign(run=run.label) for run in runs]
        table = pd.concat(tables, ignore_index=True)
        table[["run", *table.columns.drop("run")]].to_csv(folder / f"summary_{part}.csv", index=False)
    pairs = [{"run": run.label, **c._asdict(), **c.difference._asdict()} for run in runs for c in run.comparisons]
    pd.DataFrame(pairs).drop(columns="difference", errors="ignore").to_csv(folder / "comparisons.csv", index=False)
    metrics = pd.concat([run.metrics.assign(run=run.label) for run in runs], ignore_index=True)
    metrics[["run", *metrics.columns.drop("run")]].to_csv(folder / "measures.csv", index=False)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # samples and configurations are not to be trusted
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    images = {d.name: base64.b64encode((folder / f"{d.name}.svg").read_bytes()).decode() for d in drawn}
    return environment.get_template("report.html.jinja").render(
        question=QUESTION,
        runs=runs,
        scripts=charts.scripts(),
        data=charts.embedded(page_data.page_data(runs)),
        samples={run.label: page_data.sample_columns(run) for run in runs},
        figures=drawn,
        images=images,
        kinds=page_data.KINDS,
        shown_samples=page_data.SHOWN_SAMPLES,
        measures=statistics.MEASURES,
        events=statistics.EVENTS,
        badges={findings.SHOWN: "✓", findings.NOT_SHOWN: "✕", findings.UNDECIDED: "?"},
        number=_number,
        interval=_interval,
        span=_span,
        event=_event,
        missing=_missing,
        pretty=lambda record: json.dumps(record, indent=2, ensure_ascii=False),
    )


def build_report(directories: Sequence[RunDirectory]) -> Path:
    """Writes the report of one run or a comparison of several into the first one's directory; returns the page.

    A run with further axes counts as its parts. An old report is there until the new page takes its place at once.

    Raises:
      UsageError: one of the directories holds no run or no finished generation, or the first cannot be written.
    """
    home = directories[0]
    parts = [part for directory in directories for part in directory.parts()]
    parts = [part for part in parts if part.rows()] or parts  # of a run with axes, some settings may not have begun
    unique = list({part.path.resolve(): part for part in parts}.values())
    runs = [read_run(directory, label) for directory, label in zip(unique, _labels(unique), strict=True)]
    try:
        with tempfile.TemporaryDirectory(prefix="report-") as scratch:
            page = _render(runs, Path(scratch))
            _publish(Path(scratch), page, home.report)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise command.UsageError(f"--workdir {home.path} cannot be written: {error.strerror}") from None
    return home.report / "index.html"


def _publish(files: Path, page: str, target: Path) -> None:
    """Replaces a report file by file, the page last; then removes what the old one had and this one has not."""
    target.mkdir(exist_ok=True)
    new = {"index.html", *(path.name for path in files.iterdir())}
    for path in sorted(files.iterdir()):
        write_atomically(target / path.name, path.read_bytes())
    write_atomically(target / "index.html", page)
    for path in list(target.iterdir()):
        if path.name not in new and not path.name.startswith("."):  # another process may be writing hidden files
            path.unlink(missing_ok=True)


def main(argv: list[str]) -> None:
    """Builds the report of the runs that the flag and the arguments name, and the one table of a run in shares."""
    named = [flags.FLAGS.workdir, *argv[1:]] if flags.FLAGS.workdir else argv[1:]
    if not named:
        raise command.UsageError("--workdir is missing: name the directory of a run")
    directories = [open_run(name) for name in named]
    for directory in directories:
        if isinstance(directory, SharedRun):
            with contextlib.suppress(OSError):  # of another user, to be compared with: the rows are read anyway
                directory.combine_metrics()
    try:
        print(build_report(directories))
    except OSError as error:
        raise command.UsageError(f"the report cannot be written: {error}") from None


if __name__ == "__main__":
    # Here, since launch.main has a flag of this name and imports this module.
    flags.DEFINE_string("workdir", None, "directory of a run; further ones follow as arguments, to compare them")
    command.run(main)
