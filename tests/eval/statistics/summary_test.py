import warnings

import numpy as np
import pandas as pd
import pytest

from eval.statistics.findings import NOT_SHOWN, SHOWN, UNDECIDED, findings, percent
from eval.statistics.summary import EVENTS, mean_interval, summary, tables
from tests.columns import COLUMNS


def cell_rows(cycle, ratio, seed, diversity, correctness, unique=None):
    """Rows of one cell with planted curves, all other measures at 0.5."""
    unique = [0.5] * len(diversity) if unique is None else unique
    for t, values in enumerate(zip(diversity, correctness, unique, strict=True)):
        row = dict.fromkeys(COLUMNS, 0.5) | {"cycle": cycle, "fresh_ratio": ratio, "seed": seed, "generation": t}
        row |= dict(zip(("levenshtein_diversity", "semantic_correctness", "unique_fraction"), values, strict=True))
        yield row | {"top1_share": 1.0 if row["unique_fraction"] == 0.01 else 0.5}


def planted(rates, generations=8, seeds=3, cycle="full", control=0.0, correctness=(0.8, 0.96)):
    """Diversity 0.5·exp(-rate·t) for each fresh ratio, and a control; correctness is linear from first to last."""
    rows = []
    t = np.arange(generations)
    first, last = correctness
    correct = np.linspace(first, last, generations)
    groups = [(cycle, ratio, rate) for ratio, rate in rates.items()]
    groups += [("fresh", 1.0, control)] if control is not None else []
    for name, ratio, rate in groups:
        for seed in range(seeds):
            noise = 1 + 0.004 * np.random.default_rng([seed, int(100 * ratio)]).standard_normal(generations)
            rows += cell_rows(name, ratio, seed, 0.5 * np.exp(-rate * t) * noise, correct)
    return tables(rows)[0]


def interval(values):
    mean, low, high, seeds = mean_interval(values)
    assert mean is not None and low is not None and high is not None
    return mean, low, high, seeds


def verdicts(metrics):
    return [finding.verdict for finding in findings(metrics)]


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
    assert (group["cells"], group["complete_cells"], group["last_generation"]) == (4, 2, 1)
    assert group["diversity_first"] == pytest.approx(0.8)
    assert group["diversity_change"] == pytest.approx(-0.375)
    assert (group["diversity_change_low"], group["diversity_change_high"]) == pytest.approx((-0.5, -0.25))
    assert group["full_correctness_generation_reached"] == 1
    assert np.isnan(group["full_correctness_generation"])  # a mean over those that got there would be too early
    assert cells["status"].tolist() == [
        "",
        "",
        "loss not finite at step 3 (generation 1)",
        "loss not finite at step 3 (generation 0)",
    ]


def test_interval_covers_the_true_mean():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(200):
        mean, low, high, seeds = interval(rng.normal(3.0, 1.0, 20))
        assert low < mean < high
        assert seeds == 20
        covered.append(low <= 3.0 <= high)
    assert 0.87 <= np.mean(covered) <= 0.99


def test_interval_shrinks_with_more_seeds():
    rng = np.random.default_rng(2)
    few, many = interval(rng.normal(size=10)), interval(rng.normal(size=1000))
    assert many[2] - many[1] < (few[2] - few[1]) / 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (None, None, None, 0)),
        ([None, float("nan")], (None, None, None, 0)),
        ([0.3], (0.3, None, None, 1)),
        ([0.3, None], (0.3, None, None, 1)),
        ([0.5, 0.5, 0.5], (0.5, 0.5, 0.5, 3)),
    ],
)
def test_degenerate_intervals_do_not_warn(values, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval(values) == expected


def test_all_three_findings_are_shown():
    metrics = planted({0.0: 0.3, 0.25: 0.2, 0.5: 0.05})
    assert verdicts(metrics) == [SHOWN] * 3
    sentence = findings(metrics)[1].sentence
    for number in (f"{percent(np.exp(-2.1) - 1)} [", "at φ\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.25", "in the control"):
        assert number in sentence


def test_speed_tells_ratios_apart_that_end_at_the_same_bottom():
    metrics = planted({0.0: 1.0, 0.5: 0.4}, generations=30, control=None)
    assert findings(metrics)[1].verdict == SHOWN


def test_a_fall_that_the_control_shares_is_none_of_the_loop():
    metrics = planted({0.0: 0.1, 0.5: 0.1}, control=0.1, correctness=(0.8, 0.3))
    assert verdicts(metrics) == [NOT_SHOWN] * 3
    assert "does not clearly fall by more than the control's" in findings(metrics)[1].sentence


def test_ratios_are_judged_against_the_control():
    finding = findings(planted({0.0: 0.3, 0.5: 0.1}, control=0.1))[2]
    assert finding.verdict == NOT_SHOWN
    assert "no clear fall is left" in finding.sentence


def test_correct_in_the_end_but_not_at_every_ratio():
    good, bad = planted({0.0: 0.3}), planted({0.5: 0.1}, control=None, correctness=(0.9, 0.7))
    assert findings(pd.concat([good, bad]))[0].verdict == NOT_SHOWN


def test_reversed_order_is_not_the_papers_finding():
    metrics = planted({0.0: 0.05, 0.5: 0.3})
    assert verdicts(metrics) == [SHOWN, NOT_SHOWN, NOT_SHOWN]


def test_fresh_data_that_stops_the_fall():
    metrics = planted({0.0: 0.3, 0.5: 0.0})
    finding = findings(metrics)[2]
    assert finding.verdict == NOT_SHOWN
    assert "0.5 no clear fall is left" in finding.sentence


def test_nothing_to_slow_without_a_fall():
    assert verdicts(planted({0.0: 0.0, 0.5: 0.0})) == [SHOWN, NOT_SHOWN, UNDECIDED]


def test_one_cycle_that_refutes_is_named():
    falls = planted({0.0: 0.3, 0.5: 0.1})
    stays = planted({0.0: 0.0, 0.5: 0.0}, cycle="expanding", control=None)
    finding = findings(pd.concat([falls, stays]))[1]
    assert finding.verdict == NOT_SHOWN
    assert "not clearly fall by more than the control's (by generation 7, expanding:" in finding.sentence


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (planted({0.0: 0.3}, generations=1), [UNDECIDED] * 3),
        (planted({0.0: 0.3}, control=None), [SHOWN, UNDECIDED, UNDECIDED]),
        (planted({0.0: 0.3}, control=None, seeds=1), [SHOWN, UNDECIDED, UNDECIDED]),
        (planted({0.0: 0.3}), [SHOWN, SHOWN, UNDECIDED]),  # the control is a second share: none
        (planted({}), [UNDECIDED] * 3),
        (planted({1.0: 0.0}, control=None), [UNDECIDED] * 3),
        (planted({0.0: 0.3, 1.0: 0.0}, control=None), [SHOWN, SHOWN, UNDECIDED]),
    ],
    ids=["one generation", "one ratio", "one cell", "ratio and control", "control", "phi 1", "phi 0 and 1"],
)
def test_minimal_runs(metrics, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verdicts(metrics) == expected
        assert all(finding.sentence.endswith(".") for finding in findings(metrics))


def test_a_cell_that_ended_early_is_left_out_and_told_of():
    whole = planted({0.0: 0.3, 0.5: 0.1})
    ended = whole[(whole["fresh_ratio"] != 0.0) | (whole["seed"] != 1) | (whole["generation"] < 2)]
    found = findings(ended)
    assert [finding.verdict for finding in found] == [SHOWN] * 3
    assert "Left out: 1 of the cells" in found[1].sentence
    assert "Left out" not in findings(whole)[1].sentence


def test_one_seed_needs_a_larger_change():
    rates = {0.0: 0.006, 0.5: 0.0}  # falls by 4 % in 7 generations
    assert findings(planted(rates, seeds=1))[1].verdict == NOT_SHOWN
    assert "One seed: no interval." in findings(planted(rates, seeds=1))[1].sentence
    assert findings(planted(rates, seeds=8))[1].verdict == SHOWN


@pytest.mark.parametrize(
    ("value", "signed", "expected"),
    [
        (-0.683, True, "\N{MINUS SIGN}68 %"),
        (0.004, True, "0 %"),
        (-0.001, True, "0 %"),
        (0.1, True, "+10 %"),
        (1, False, "100 %"),
    ],
)
def test_percent(value, signed, expected):
    assert percent(value, signed) == expected.replace(" ", "\N{NO-BREAK SPACE}")
