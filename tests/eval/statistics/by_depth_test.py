"""Correctness by depth against sums over single samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.statistics.by_depth import ByDepth, decompose, pooled

SAMPLES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40)  # (depth, correct)


def counted(samples) -> ByDepth:
    size = max(depth for depth, _ in samples) + 1
    kinds = [[depth for depth, _ in samples], [depth for depth, correct in samples if correct]]
    return ByDepth(*(np.bincount(np.array(kind, np.int64), minlength=size) for kind in kinds))


@given(SAMPLES, SAMPLES)
def test_the_parts_sum_to_the_change_and_composition_is_what_depths_alone_would_have_done(first, last):
    change = decompose(counted(first), counted(last))
    rate = [np.mean([correct for _, correct in samples]) for samples in (first, last)]
    assert change.total == pytest.approx(rate[1] - rate[0])
    assert change.composition + change.within == pytest.approx(change.total)
    as_at_first = []  # the last samples, each as often correct as the first samples of its depth, if there are any
    for depth, correct in last:
        before = [x for d, x in first if d == depth]
        as_at_first.append(np.mean(before) if before else correct)
    assert change.composition == pytest.approx(np.mean(as_at_first) - rate[0])


@given(SAMPLES, st.integers(2, 5))
def test_more_of_the_same_changes_nothing(samples, times):
    assert decompose(counted(samples), counted(samples * times)) == pytest.approx((0, 0, 0))


def test_what_dies_out_is_composition_and_what_is_learnt_is_not():
    hard_and_easy = ByDepth(np.array([50, 0, 50]), np.array([50, 0, 10]))
    easy = ByDepth(np.array([70]), np.array([70]))
    assert decompose(hard_and_easy, easy) == pytest.approx((0.4, 0.4, 0))
    learnt = ByDepth(np.array([50, 0, 50]), np.array([50, 0, 30]))
    assert decompose(hard_and_easy, learnt) == pytest.approx((0.2, 0, 0.2))


@given(st.lists(SAMPLES, min_size=1, max_size=4), st.integers(1, 8))
def test_pooling_and_folding_lose_nothing(parts, size):
    together = [sample for part in parts for sample in part]
    for x, y in zip(pooled([counted(part) for part in parts]), counted(together), strict=True):
        np.testing.assert_array_equal(x, y)
    folded = counted(together).to(size, fold=True)
    deep = [correct for depth, correct in together if depth >= size - 1]
    assert (folded.samples_D[-1], folded.correct_D[-1]) == (len(deep), sum(deep))
    assert folded.samples_D.sum() == len(together) and len(folded.samples_D) == size
