"""A run's summary and findings on standard output."""

import sys
from typing import TYPE_CHECKING

from eval.report.text import interval, number, span
from logic.errors import printable
from loop.cell import Cell

if TYPE_CHECKING:
    from rich.table import Table

    from eval.report.build import Run


def _leaderboard(run: "Run") -> "Table":
    """Remedies against none."""
    from rich.table import Table

    from eval.statistics.curves import GROUP, family_name
    from eval.statistics.leaderboard import EFFECTS, UNDECIDED, records

    at = max(entry.generation for entry in run.leaderboard)
    title = f"Remedies minus none, generation {at}, paired by seed [95 %] (+ better, - worse by Holm's correction)"
    table = Table(title=title, title_justify="left")
    for header in ("cycle, remedy", "φ", "seeds", *(effect.label for effect in EFFECTS), "verified", "extra steps"):
        table.add_column(header, justify="left" if header == "cycle, remedy" else "right", overflow="fold")
    for row in records(run.leaderboard):
        cells = []
        for effect in EFFECTS:
            verdict = row[f"{effect.name}_verdict"]
            mark = "" if verdict == UNDECIDED else " +" if verdict == "better" else " -"
            found = f"{number(row[f'{effect.name}_effect'], '+')} {interval(row, effect.name, '+')}{mark}"
            cells.append(found.strip())
        table.add_row(
            family_name(tuple(row[name] for name in GROUP)),
            f"{row['fresh_ratio']:g}",
            str(row["seeds"]),
            *cells,
            *(f"{row.get(f'{cost}_extra', 0):.0f}" for cost in ("samples_verified", "extra_steps")),
        )
    return table


def print_findings(run: "Run") -> None:
    """Prints a run's summary and findings to standard output."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table

    from eval.statistics.curves import GROUP, family_name

    # The console's own width, but where the output goes to a file lines should not be cut at 80.
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"First → last generation ({run.state}), means over seeds", title_justify="left")
    for header in ("cycle", "φ", "seeds", "diversity", "change [95 %]", "correct", "unique"):
        table.add_column(header, justify="left" if header == "cycle" else "right")
    for row in run.summary.groups.to_dict("records"):
        table.add_row(
            family_name(tuple(row[name] for name in GROUP)),
            f"{row['fresh_ratio']:g}",
            str(row["cells"]),
            span(row, "diversity", ""),
            f"{number(row['diversity_change'], '+%')} {interval(row, 'diversity_change', '+%')}".strip(),
            span(row, "correctness", "%"),
            span(row, "unique_fraction", "%"),
        )
    console.print(table)
    if run.leaderboard:
        console.print(_leaderboard(run))
    console.print("\nFall of diversity, with 95 % intervals over seeds:")
    console.print(Padding("\n".join(run.declines), (0, 0, 0, 3)))
    if run.shares:
        console.print("\nWhose fall it is, in percent of generation 0, at the last generation:")
        console.print(Padding("\n".join(run.shares), (0, 0, 0, 3)))
    if run.untold:
        console.print(f"\nNot told apart: {printable('; '.join(run.untold))}")
    for i, finding in enumerate(run.findings, 1):
        console.print(f"\n{i}. {finding.claim} {finding.verdict.upper()}", style="bold")
        console.print(Padding(finding.sentence, (0, 0, 0, 3)))
    for row in run.summary.cells[run.summary.cells["status"] != ""].to_dict("records"):
        cell = Cell.of(row)
        console.print(f"\n{cell.name} ended early: {printable(row['status'])}")
