import itertools
import re
import warnings

import numpy as np
import pandas as pd
import pytest

from eval.statistics.fall import declines, sentence
from eval.statistics.findings import NOT_SHOWN, SHOWN, UNDECIDED, findings, percent
from eval.statistics.summary import summary, tables
from tests.columns import group
from tests.eval.statistics.summary_test import cell_rows


def planted(rates, generations=20, seeds=3, cycle="full", control=0.0, correctness=(0.8, 0.96)):
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


def verdicts(metrics):
    return [finding.verdict for finding in findings(metrics)]


def test_all_three_findings_are_shown():
    metrics = planted({0.0: 0.3, 0.25: 0.2, 0.5: 0.05})
    assert verdicts(metrics) == [SHOWN] * 3
    sentence = findings(metrics)[1].sentence
    for number in (f"{percent(np.exp(-3.8) - 1)} [", "at φ\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.25", "in the control"):
        assert number in sentence


def test_speed_tells_ratios_apart_that_end_at_the_same_bottom():
    metrics = planted({0.0: 1.0, 0.5: 0.4}, generations=30, control=None)
    assert findings(metrics)[1].verdict == SHOWN


def test_a_fall_that_the_control_shares_is_none_of_the_loop():
    metrics = planted({0.0: 0.1, 0.5: 0.1}, control=0.1, correctness=(0.8, 0.3))
    assert verdicts(metrics) == [NOT_SHOWN, NOT_SHOWN, UNDECIDED]
    assert "does not fall by 5\N{NO-BREAK SPACE}% or more beyond the control" in findings(metrics)[1].sentence


def test_ratios_are_judged_against_the_control():
    finding = findings(planted({0.0: 0.3, 0.5: 0.1}, control=0.1))[2]
    assert finding.verdict == NOT_SHOWN
    assert "at φ = 0.5 no fall by 5\N{NO-BREAK SPACE}% or more is left beyond the control" in finding.sentence


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
    assert "at φ = 0.5 no fall by 5\N{NO-BREAK SPACE}% or more is left beyond the control" in finding.sentence


def test_nothing_to_slow_without_a_fall():
    assert verdicts(planted({0.0: 0.0, 0.5: 0.0})) == [SHOWN, NOT_SHOWN, UNDECIDED]


def test_one_cycle_that_refutes_is_named():
    falls = planted({0.0: 0.3, 0.5: 0.1})
    stays = planted({0.0: 0.0, 0.5: 0.0}, cycle="expanding", control=None)
    finding = findings(pd.concat([falls, stays]))[1]
    assert finding.verdict == NOT_SHOWN
    assert "or more beyond the control (by generation 19, expanding:" in finding.sentence


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (planted({0.0: 0.3}, generations=1), [UNDECIDED] * 3),
        (planted({0.0: 0.3}, control=None), [SHOWN, UNDECIDED, UNDECIDED]),
        (planted({0.0: 0.3}, control=None, seeds=1), [UNDECIDED] * 3),
        (planted({0.0: 0.3}), [SHOWN, UNDECIDED, UNDECIDED]),  # a control is no second share of generated data
        (planted({}), [UNDECIDED] * 3),
        (planted({1.0: 0.0}, control=None), [UNDECIDED] * 3),
        (planted({0.0: 0.3, 1.0: 0.0}, control=None), [SHOWN, UNDECIDED, UNDECIDED]),
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


def test_one_seed_decides_nothing_and_two_say_that_they_agree():
    one = findings(planted({0.0: 0.3, 0.5: 0.1}, seeds=1))
    assert [finding.verdict for finding in one] == [UNDECIDED] * 3
    assert all("one seed, too few for an interval" in finding.sentence for finding in one)
    rates = {0.0: 0.01, 0.5: 0.0}  # falls by 17 %, with noise enough to hide it from two seeds
    metrics = planted(rates, seeds=2)
    rows = (metrics["seed"] == 1) & (metrics["fresh_ratio"] == 0) & (metrics["generation"] > 0)
    metrics.loc[rows, "levenshtein_diversity"] *= 0.9
    assert findings(metrics)[1].verdict == UNDECIDED
    assert "both seeds agree, too few to tell" in findings(metrics)[1].sentence
    assert findings(planted(rates, seeds=5))[1].verdict == SHOWN


def test_the_same_fall_at_every_ratio_is_no_dose_dependence():
    """Against the control each of them is a fall: that alone showed the finding once."""
    found = findings(planted({0.0: 0.02, 0.25: 0.02, 0.5: 0.02}, seeds=5))
    assert [finding.verdict for finding in found] == [SHOWN, NOT_SHOWN, NOT_SHOWN]
    assert "but not clearly faster at φ" in found[1].sentence and "does not clearly slow the fall" in found[2].sentence


def test_a_control_with_other_seeds_is_compared_without_pairs():
    metrics = planted({0.0: 0.3, 0.25: 0.2, 0.5: 0.05})
    apart = metrics.assign(seed=metrics["seed"].where(~metrics["control"], metrics["seed"] + 100))
    assert verdicts(apart) == verdicts(metrics) == [SHOWN] * 3
    single = apart[~apart["control"] | (apart["seed"] == 100)]
    assert verdicts(single) == [SHOWN, UNDECIDED, UNDECIDED]  # one seed of the control has no interval


def test_the_control_is_phi_1_of_the_cycle_before_another_cycle():
    """In this one the two disagree: the cycle's own control falls as well."""
    metrics = planted({0.0: 0.1, 0.5: 0.1, 1.0: 0.1}, control=0.0)
    assert "beyond the control" in findings(metrics)[1].sentence
    onset = summary(metrics).groups.set_index(["cycle", "fresh_ratio"])["onset"]
    assert onset.isna().all()
    other = summary(metrics[(metrics["cycle"] != "full") | (metrics["fresh_ratio"] < 1)]).groups
    assert other["onset"].tolist()[:2] == [1, 1]


def test_correctness_near_its_threshold_is_undecided():
    metrics = planted({0.0: 0.1, 0.5: 0.05}, correctness=(0.9, 0.92))
    noise = np.array([-0.06, 0.0, 0.06])[metrics["seed"]]
    metrics["correctness"] += noise * (metrics["fresh_ratio"] == 0)
    finding = findings(metrics)[0]
    assert finding.verdict == UNDECIDED and "too few seeds to tell" in finding.sentence
    assert "[77" in finding.sentence and "100\N{NO-BREAK SPACE}%] at φ" in finding.sentence


def test_a_fall_whose_end_is_unclear_does_not_show_that_it_goes_on():
    """Four generations tell that there is a fall, and nothing of its end."""
    found = findings(planted({0.0: 0.3, 0.5: 0.1}, generations=4, seeds=5))
    assert [finding.verdict for finding in found] == [SHOWN, SHOWN, UNDECIDED]
    assert "whether it stops it at φ = 0.5" in found[2].sentence


def _numbers(text):
    """Every `-31 % [-35, -27]` of a text, as three whole numbers."""
    text = text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-").replace(" %", "").replace("+", "")
    return re.findall(r"(-?\d+) \[(-?\d+), (-?\d+)\]", text)


def test_list_table_and_findings_say_the_same():
    metrics = planted({0.0: 0.1, 0.25: 0.06, 0.5: 0.03}, seeds=4)
    falls = declines(metrics)
    from_list = [_numbers(sentence(decline))[0] for decline in falls]
    table = [
        tuple(f"{100 * row[f'diversity_change{end}']:.0f}".replace("-0", "0") for end in ("", "_low", "_high"))
        for row in summary(metrics).groups.to_dict("records")
    ]
    found = findings(metrics, falls)
    assert from_list == table == _numbers(found[1].sentence) == _numbers(found[2].sentence)
    assert [finding.verdict for finding in found] == verdicts(metrics)


@pytest.mark.parametrize(("seeds", "rate"), itertools.product([1, 2, 3, 5], [0.0, 0.002, 0.01, 0.1]))
def test_no_two_sentences_contradict_each_other(seeds, rate):
    metrics = planted({0.0: 3 * rate, 0.25: 2 * rate, 0.5: rate}, seeds=seeds)
    found = [finding.sentence for finding in findings(metrics)]
    falls = {decline.key: decline for decline in declines(metrics)}
    for decline in falls.values():
        text = sentence(decline)
        assert ("no fall" in text) == (decline.falls is False)
        assert not (("still falling" in text or "plateau" in text) and decline.falls is not True)
    if found[1].startswith(("Diversity falls", "The larger the share")):
        assert falls[group("full", 0.0)].falls is True
    for ratio in re.findall(r"0\.25|0\.5", found[2].split(" (by")[0]) if "diversity still falls" in found[2] else ():
        decline = falls[group("full", float(ratio))]
        assert decline.bottom or ("still falling" in sentence(decline))


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
