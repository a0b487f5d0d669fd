import numpy as np
import pandas as pd
import pytest

from eval.statistics.decomposition import decompose
from eval.statistics.fall import declines
from eval.statistics.overview import overview
from eval.statistics.summary import EVENTS, summary, tables
from tests.columns import filled


def cell_rows(cycle, ratio, seed, diversity, correctness, unique=None):
    """Rows of one cell with planted curves, all other measures at 0.5."""
    unique = [0.5] * len(diversity) if unique is None else unique
    for t, values in enumerate(zip(diversity, correctness, unique, strict=True)):
        row = filled(0.5) | {"cycle": cycle, "fresh_ratio": ratio, "seed": seed, "generation": t}
        row |= dict(zip(("levenshtein_diversity", "semantic_correctness", "unique_fraction"), values, strict=True))
        yield row | {"top1_share": 1.0 if row["unique_fraction"] == 0.01 else 0.5}


def test_planted_events_and_changes_are_recovered():
    rows = list(cell_rows("full", 0.0, 0, [0.8, 0.5, 0.4, 0.1], [0.9, 1.0, 0.9, 1.0], [0.5, 0.3, 0.01, 0.01]))
    rows += cell_rows("full", 0.5, 0, [0.8, 0.7, 0.6, 0.41], [0.9, 0.9, 0.9, 0.999])
    first, second = summary(tables(rows)[0]).cells.to_dict("records")
    assert [first[name] for name in EVENTS] == [1, 2, 2]
    assert first["diversity_change"] == pytest.approx(-0.875)
    assert (first["unique_fraction_first"], first["unique_fraction_last"]) == (0.5, 0.01)
    assert all(pd.isna(second[name]) for name in EVENTS)
    assert second["diversity_change"] == pytest.approx(-0.4875)


def test_rows_need_not_be_in_order():
    rows = list(cell_rows("full", 0.0, 0, [0.8, 0.5, 0.4], [0.9, 1.0, 0.9]))
    pd.testing.assert_frame_equal(summary(tables(rows)[0]).cells, summary(tables(rows[::-1])[0]).cells)


def test_groups_average_only_cells_that_reached_the_last_generation():
    rows = list(cell_rows("full", 0.0, 0, [0.8, 0.4], [0.9, 1.0]))
    rows += cell_rows("full", 0.0, 1, [0.8, 0.6], [0.9, 0.9])
    rows += cell_rows("full", 0.0, 2, [0.4], [0.5])
    status = {"cycle": "full", "fresh_ratio": 0.0, "seed": 2, "generation": 1, "status": "loss not finite at step 3"}
    unseen = status | {"seed": 3, "generation": 0}
    metrics, statuses = tables([*rows, status, unseen])
    cells, groups = summary(metrics, statuses)
    (group,) = groups.to_dict("records")
    assert [status["learner"] for status in statuses] == ["transformer"] * 2  # rows of older code do not say it
    assert (group["cells"], group["complete_cells"], group["last_generation"]) == (4, 2, 1)
    assert group["diversity_first"] == pytest.approx(0.8)
    assert group["diversity_change"] == pytest.approx(-0.375)
    assert (group["diversity_change_low"], group["diversity_change_high"]) == pytest.approx(
        (-1, -0.375 + 12.706 * 0.125), rel=1e-4
    )
    assert group["full_correctness_generation_reached"] == 1
    assert np.isnan(group["full_correctness_generation"])  # a mean over those that got there would be too early
    assert cells["status"].tolist() == [
        "",
        "",
        "loss not finite at step 3 (generation 1)",
        "loss not finite at step 3 (generation 0)",
    ]


def test_a_row_that_was_written_twice_counts_once_and_controls_are_marked():
    rows = [*cell_rows("full", 0.0, 0, [0.8], [0.9]), *cell_rows("full", 0.0, 0, [0.6], [0.9])]
    rows += [*cell_rows("full", 1.0, 0, [0.8], [0.9]), *cell_rows("new", 0.5, 0, [0.8], [0.9])]
    metrics, _ = tables(rows, ["new"])
    assert metrics["levenshtein_diversity"].tolist() == [0.6, 0.8, 0.8]
    assert metrics["control"].tolist() == [False, True, True]


def test_intervals_stay_within_what_is_possible():
    rows = [
        row for seed, last in enumerate((0.79, 0.02)) for row in cell_rows("full", 0.0, seed, [0.8, last], [0.5, 1])
    ]
    (group,) = summary(tables(rows)[0]).groups.to_dict("records")
    assert (group["diversity_last_low"], group["diversity_last_high"]) == (0, 1)
    assert group["diversity_change_low"] == -1 and group["diversity_change_high"] > 1


def test_the_overview_has_the_verdict_and_the_parts_of_every_group():
    """The parts are those of the decomposition, in the rows of their groups; a control has none."""
    rows = [
        filled(0.5)
        | {"levenshtein_diversity": 0.5 * keep**t + 0.001 * seed, "cycle": cycle, "fresh_ratio": ratio}
        | {"seed": seed, "generation": t, "learner": learner, "remedy": "none"}
        for cycle, ratio, learner, keep in (
            ("full", 0.0, "transformer", 0.7),
            ("full", 0.0, "memoriser", 0.8),
            ("fresh", 1.0, "transformer", 1.0),
        )
        for seed in range(4)
        for t in range(12)
    ]
    metrics = tables(rows, {"fresh"})[0]
    found = overview(summary(metrics), declines(metrics), decompose(metrics, {}))
    assert len(found) == 3
    mine = found[(found["cycle"] == "full") & (found["learner"] == "transformer")].iloc[0]
    assert mine["diversity_change"] == pytest.approx(mine["temperature_and_finite_samples_part"] + mine["learner_part"])
    control = found[found["cycle"] == "fresh"].iloc[0]
    assert control["verdict"] == "no fall" and np.isnan(control["learner_part"])
