"""The figure of the leaderboard."""

import pandas as pd

from eval.report.effects import cost, draw_effects
from eval.statistics.leaderboard import leaderboard
from eval.statistics.summary import tables
from tests.eval.statistics.leaderboard_test import NONE, rows


def test_every_remedy_is_in_the_figure_with_its_cost(tmp_path):
    metrics, _ = tables([*NONE, *rows("unique", [0.2, 0.21, 0.22, 0.24]), *rows("verified", [0.3, 0.31, 0.33, 0.3])])
    entries = leaderboard(metrics)
    assert {entry.remedy: cost(entry) for entry in entries} == {"unique": 0, "verified": 20}
    (drawn,) = draw_effects(entries, tmp_path)

    assert (tmp_path / f"{drawn.name}.svg").stat().st_size > 1_000
    assert pd.read_csv(tmp_path / f"{drawn.name}.csv")["remedy"].tolist() == ["verified", "unique"]
    assert draw_effects([], tmp_path) == []
