"""Remedies against none, on numbers made up."""

import itertools

import numpy as np
import pytest
import scipy.stats

from eval.statistics.curves import control_of, networks
from eval.statistics.leaderboard import BETTER, UNDECIDED, WORSE, holm, leaderboard, records, t_p
from eval.statistics.summary import tables
from loop.cell import Cell


def rows(
    remedy: str, diversity: list[float], correct: float = 1.0, last: int = 1, fresh_ratio: float = 0.0
) -> list[dict]:
    return [
        {
            **Cell("full", fresh_ratio, seed, remedy=remedy).keys,
            "generation": t,
            "levenshtein_diversity": value * (t + 1),
        }
        | {"semantic_correctness": correct - 0.1 * value, "kl_paired": 1.0, "support_coverage": value}
        | {
            "samples_written": 10,
            "samples_verified": 10 * (remedy == "verified"),
            "extra_steps": 0,
            "real_examples": 7 + t,
        }
        for seed, value in enumerate(diversity)
        for t in range(last + 1)
    ]


def board(*parts: list[dict]):
    return leaderboard(tables([row for part in parts for row in part])[0])


NONE = rows("none", [0.10, 0.11, 0.12, 0.13])


def test_differences_are_paired_with_none_on_common_seeds_and_ranked():
    found = board(NONE, rows("unique", [0.20, 0.21, 0.22, 0.231], 0.5), rows("verified", [0.30, 0.31, 0.33]))
    assert [entry.remedy for entry in found] == ["verified", "unique"]
    verified, unique = found
    assert (verified.seeds, unique.seeds, unique.generation) == (3, 4, 1)
    assert verified.effects["diversity"].mean == pytest.approx(2 * np.mean([0.20, 0.20, 0.21]))
    gains = 2 * np.array([0.10, 0.10, 0.10, 0.101])
    low, high = scipy.stats.t.interval(0.95, 3, gains.mean(), scipy.stats.sem(gains))
    assert (unique.effects["diversity"].low, unique.effects["diversity"].high) == pytest.approx((low, high))

    row = records(found)[1]
    assert (row["diversity_verdict"], row["correctness_verdict"], row["kl_verdict"]) == (BETTER, WORSE, UNDECIDED)
    assert (verified.extra["samples_verified"], verified.extra["samples_written"]) == (20, 0)
    assert verified.costs["real_examples"] == 8


def test_cells_that_ended_before_the_last_generation_are_left_out():
    found = board(NONE, rows("unique", [0.2] * 4, last=0), rows("verified", [0.2, 0.2]))
    assert [(entry.remedy, entry.seeds) for entry in found] == [("verified", 2)]
    assert board(NONE) == board(rows("unique", [0.2, 0.3])) == []


def test_corrected_p_values_are_holms():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7):
        p = rng.random(n) ** 3
        # Holm's closed form: the largest p of a set times the sets' sizes, over all subsets that hold the hypothesis.
        for i, corrected in enumerate(holm(p.tolist())):
            subsets = [s for k in range(1, n + 1) for s in itertools.combinations(range(n), k) if i in s]
            assert corrected == pytest.approx(max(min(1, len(s) * min(p[list(s)])) for s in subsets))
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    x = rng.normal(0.3, 1, 6)
    assert t_p(x) == pytest.approx(scipy.stats.ttest_1samp(x, 0).pvalue)
    assert (t_p(x[:1]), t_p(np.zeros(3)), t_p(np.full(3, 0.1))) == (None, 1.0, 0.25)  # 2 / 2^3


def test_the_control_of_a_remedy_has_none_and_findings_are_of_cells_without():
    metrics, _ = tables([*NONE, *rows("unique", [0.2] * 4), *rows("none", [0.2] * 4, fresh_ratio=1.0)], ["fresh"])
    assert control_of(metrics, ("full", 0.0, "transformer", "unique")) == ("full", 1.0, "transformer", "none")
    assert set(networks(metrics)["remedy"]) == {"none"}
    only, _ = tables(rows("unique", [0.2] * 4))
    assert set(networks(only)["remedy"]) == {"unique"}
