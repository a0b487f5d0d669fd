"""Makes a run's report, or a comparison of several runs: the page, with figures and tables beside it."""

import base64
import dataclasses
import errno
import functools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logic.errors import UsageError, usage_errors
from logic.language import Language
from logic.languages import language_of
from loop.cell import KEYS, Cell
from loop.cycles import CONTROLS
from loop.storage.atomic_files import write_atomically
from loop.storage.pooled import PooledRun, pool
from loop.storage.reader import RunReader
from loop.storage.same_run import completed
from loop.storage.shards import ShardedRun

if TYPE_CHECKING:
    import pandas as pd

    from eval.references import References
    from eval.statistics.decomposition import Decomposition
    from eval.statistics.findings import Finding
    from eval.statistics.leaderboard import Entry
    from eval.statistics.summary import Summary

QUESTION = (
    "What happens to a language model that is trained on what its predecessor wrote, generation after generation?"
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What the report says of one run."""

    label: str
    directory: RunReader
    record: dict[str, Any]  # config.json
    metrics: "pd.DataFrame"
    statuses: list[Mapping[str, Any]]
    summary: "Summary"
    overview: "pd.DataFrame"  # all that is said of its groups
    findings: "list[Finding]"
    comparisons: list[dict[str, Any]]  # of fresh ratios, as rows of a table
    declines: list[str]  # one sentence per (cycle, fresh ratio): by how much diversity fell, and whether it goes on
    references: "References"  # mean fields
    decompositions: "list[Decomposition]"  # whose fall it is, per (cycle, fresh ratio)
    language: Language
    controls: frozenset[str]  # cycles that never train on generated examples
    leaderboard: "list[Entry]"  # remedies against none

    @functools.cached_property
    def cells(self) -> "dict[Cell, pd.DataFrame]":
        """Every cell's rows, in order of generation; cells in the order of the table."""
        keys = list(KEYS[:-1])
        groups = self.metrics.sort_values("generation", kind="stable").groupby(keys, sort=False)
        tables = dict(iter(groups))
        order = self.metrics[keys].drop_duplicates().itertuples(index=False, name=None)
        return {Cell.of(dict(zip(keys, key, strict=True))): tables[key] for key in order}

    @functools.cached_property
    def dissected(self) -> dict[int, list[dict[str, Any]]]:
        """Anatomies by generation, as far as they have been read: see eval/report/anatomies.py."""
        return {}

    @property
    def shares(self) -> list[str]:
        """One sentence per (cycle, fresh ratio) of which it can be told: what part of the fall is whose."""
        from eval.statistics import decomposition

        return [decomposition.sentence(d) for d in self.decompositions]

    @property
    def untold(self) -> list[str]:
        """Why parts of the falls cannot be told apart; empty where they can."""
        from eval.statistics.decomposition import MEMORISER

        none = "no memoriser: --config.sweep.learners=transformer,memoriser runs it beside the networks"
        reasons = [self.references.missing, "" if MEMORISER in set(self.metrics["learner"]) else none]
        return [reason for reason in reasons if reason]

    @property
    def state(self) -> str:
        """How far the run is."""
        last = int(self.metrics["generation"].max())
        planned = self.record["config"].get("loop", {}).get("generations", last + 1)
        if isinstance(self.directory, ShardedRun) and (missing := self.directory.unfinished()):
            some = ", ".join(f"{i} ({how})" for i, how in list(missing.items())[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            return f"not finished: of {len(self.directory.shards)} shards, these are missing: {some}{more}"
        if last + 1 < planned and len(self.statuses) < len(self.summary.cells):
            return f"not finished: {last + 1} of {planned} generations are there"
        return f"{last + 1} generations"


def read_run(directory: RunReader, label: str = "") -> Run:
    """Reads and summarises a run. Raises UsageError where there is no run, or none of its generations is finished."""
    from eval.references import references
    from eval.statistics import decomposition, fall, findings, leaderboard, summary
    from eval.statistics.overview import overview

    record = directory.config()
    with usage_errors():
        language = language_of(record["config"].get("language", {}))
    controls = frozenset(record.get("controls", CONTROLS))  # version 0.1 did not record them
    metrics, statuses = summary.tables(directory.rows(), controls, language.correctness)
    if metrics.empty:
        raise UsageError(f"--workdir {directory.path}: no generation is finished yet, nothing to report")
    summarised = summary.summary(metrics, statuses)
    falls = fall.declines(metrics)  # once: findings, list and table say the same
    fields = references(record)
    found = findings.findings(metrics, falls, decomposition.prediction(falls, fields.fields))
    sentences = [fall.sentence(decline) for decline in falls]
    decompositions = decomposition.decompose(metrics, fields.fields)
    comparisons = [fall.record(comparison) for comparison in fall.comparisons(metrics)]
    return Run(
        label,
        directory,
        record,
        metrics,
        statuses,
        summarised,
        overview(summarised, falls, decompositions),
        found,
        comparisons,
        sentences,
        fields,
        decompositions,
        language,
        controls,
        leaderboard.leaderboard(metrics),
    )


def _labels(directories: Sequence[RunReader]) -> list[str]:
    """The directories' names, with as many parents as it takes to tell them apart."""
    paths = [directory.path for directory in directories]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        labels = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(labels)) == len(labels):
            break
    return labels


def _label(directory: RunReader, labels: Mapping[Path, str]) -> str:
    """A run's name on the page; of several runs in one, those of the first ones."""
    parts = directory.parts if isinstance(directory, PooledRun) else [directory]
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return " + ".join(labels[part.path] for part in parts[:3]) + more


def _render(runs: Sequence[Run], folder: Path) -> str:
    """Writes figures and tables into the folder and returns the page."""
    import jinja2
    import pandas as pd

    from eval.report import (
        charts,
        decomposition_figure,
        depths,
        effects,
        figures,
        functions,
        page,
        response_figure,
        samples,
        text,
    )
    from eval.statistics import curves, decomposition, findings, leaderboard, summary

    controls = frozenset().union(*(run.controls for run in runs))
    subject = figures.Subject(controls, runs[0].language)
    drawn = figures.draw_all({run.label: run.metrics for run in runs}, folder, subject, runs[0].references.fields)
    drawn += decomposition_figure.draw_and_save({run.label: run.decompositions for run in runs}, folder)
    drawn += effects.draw_effects(runs[0].leaderboard, folder)
    configs = {run.label: completed(run.record["config"]) for run in runs}
    summaries, overviews = ({run.label: getattr(run, name) for run in runs} for name in ("summary", "overview"))
    drawn += response_figure.draw_and_save(configs, summaries, overviews, controls, folder)
    for part, tables in (("cells", [run.summary.cells for run in runs]), ("groups", [run.overview for run in runs])):
        labelled = [table.assign(run=run.label) for run, table in zip(runs, tables, strict=True)]
        table = pd.concat(labelled, ignore_index=True)
        table[["run", *table.columns.drop("run")]].to_csv(folder / f"summary_{part}.csv", index=False)
    pairs = [{"run": run.label, **c} for run in runs for c in run.comparisons]
    pd.DataFrame(pairs).to_csv(folder / "comparisons.csv", index=False)
    ranks = [{"run": run.label, **row} for run in runs for row in leaderboard.records(run.leaderboard)]
    if ranks:
        pd.DataFrame(ranks).to_csv(folder / "leaderboard.csv", index=False)
    depth_tables = {run.label: depths.depth_tables(run) for run in runs}
    function_tables = {run.label: functions.function_tables(run) for run in runs}
    for name, found in (("correctness_by_depth", depth_tables), ("functions", function_tables)):
        rows = [
            {"run": label, **table.keys, "generations": "{} and {}".format(*table.generations), **row}
            for label, tables_of_run in found.items()
            for table in tables_of_run
            for row in table.rows
        ]
        if rows:
            pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    changes = [
        {"run": label, **table.keys, **table.change} for label, tables in depth_tables.items() for table in tables
    ]
    if changes:
        pd.DataFrame(changes).to_csv(folder / "correctness_change.csv", index=False)
    metrics = pd.concat([run.metrics.assign(run=run.label) for run in runs], ignore_index=True)
    metrics = metrics.drop(columns=[curves.CONTROL, curves.CORRECTNESS])
    metrics[["run", *metrics.columns.drop("run")]].to_csv(folder / "measures.csv", index=False)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "assets"),
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
        data=charts.embedded(page.page_data(runs)),
        samples={run.label: samples.sample_columns(run) for run in runs},
        figures=drawn,
        images=images,
        kinds={name: kind for run in runs for name, kind in samples.kinds(run.language).items()},
        depth_tables=depth_tables,
        function_tables=function_tables,
        shown_samples=samples.SHOWN_SAMPLES,
        measures=summary.MEASURES,
        events=summary.EVENTS,
        signs=summary.SIGNS,
        effects=leaderboard.EFFECTS,
        badges={findings.SHOWN: "✓", findings.NOT_SHOWN: "✕", findings.UNDECIDED: "?"},
        last_shares={run.label: decomposition.last_rows(run.decompositions) for run in runs},
        number=text.number,
        interval=text.interval,
        span=text.span,
        event=text.event,
        missing=text.missing,
        ranks={run.label: leaderboard.records(run.leaderboard) for run in runs},
        family=lambda row: curves.family_name(tuple(row[name] for name in curves.GROUP)),
        pretty=lambda record: json.dumps(record, indent=2, ensure_ascii=False),
    )


def build_report(directories: Sequence[RunReader]) -> Path:
    """Writes the report of one run or a comparison of several into the first one's directory; returns the page.

    Raises UsageError like `read_runs` and `write_report`.
    """
    return write_report(read_runs(directories), directories[0])


def read_runs(directories: Sequence[RunReader]) -> list[Run]:
    """Reads and summarises what one report is about.

    A run with further axes counts as its settings; runs that differ in the sweep only are one (loop/storage/pooled.py).
    Raises UsageError if one of the directories holds no run or no finished generation.
    """
    parts = [part for directory in directories for part in directory.settings()]
    parts = [part for part in parts if part.has_results()] or parts  # of a run with axes, some settings may have none
    unique = list({part.path.resolve(): part for part in parts}.values())
    labels = dict(zip((part.path for part in unique), _labels(unique), strict=True))
    pooled = pool(unique, lambda line: print(f"eval.report: {line}", file=sys.stderr))
    return [read_run(directory, _label(directory, labels)) for directory in pooled]


def write_report(runs: Sequence[Run], home: RunReader) -> Path:
    """Writes the report into a run's directory; returns the page. An old one is there until the new page takes its
    place at once. Raises UsageError if the directory cannot be written."""
    try:
        with tempfile.TemporaryDirectory(prefix="report-") as scratch:
            page = _render(runs, Path(scratch))
            _publish(Path(scratch), page, home.report)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise UsageError(f"--workdir {home.path} cannot be written: {error.strerror}") from None
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
