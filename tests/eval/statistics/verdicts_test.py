"""A small version of tests/stress/verdicts.py, whose tables are in docs/statistics.md."""

import pandas as pd
import pytest

from eval.statistics.findings import findings
from eval.statistics.intervals import mean_interval
from eval.statistics.onset import onset
from eval.statistics.trend import fall_shape
from tests.stress import verdicts


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.002, 0.02])
def test_no_decided_shape_is_often_wrong(noise):
    table = pd.DataFrame(verdicts.shapes(fall_shape, 10, (8, 20, 50), (3,), (noise,)))
    assert table["wrong"].max() <= 2, table.nlargest(5, "wrong")
    assert table["wrong"].sum() <= 0.01 * 10 * len(table)
    power = table.set_index(["curve", "T"])["decided"].unstack()
    for curve in ("flat", "line -50 %", "exponential, soon at 0.5", "exponential to 0, far", "straight, then flat"):
        assert power.loc[curve, [20, 50]].min() >= 4, curve


@pytest.mark.slow
def test_the_findings_are_right_or_undecided():
    table = pd.DataFrame(verdicts.findings(findings, 4, (20,), (5,), (0.01,)))
    assert table["wrong"].sum() <= 3, table[table["wrong"] > 0]
    power = table.set_index(["finding", "scenario", "S"])["right"]
    assert power[:, "dose", 5].min() >= 3
    assert power[2, "no dose", 5] >= 3 and power[3, "stopped", 5] >= 3


def test_the_onset_is_covered():
    assert all(row["worst curve"] >= 0.6 for row in verdicts.onsets(onset, 5))


def test_student_t_covers_and_what_was_not_chosen_does_not():
    table = pd.DataFrame(verdicts.intervals(mean_interval, 500, (3,))).set_index("noise")
    assert table["t"].between(0.93, 0.97).all()
    assert table.loc["unequal", "pooled over groups"] < 0.85 and table["percentile bootstrap"].max() < 0.8
