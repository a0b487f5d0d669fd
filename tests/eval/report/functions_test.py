import numpy as np

from eval.report.functions import LEAST, SHOWN, most_changed


def test_the_largest_factor_comes_first_and_what_dies_out_has_one():
    counts = np.array([[1_000, 400, 100, 10, 0], [1_000, 200, 0, 30, 0]])
    assert most_changed(counts, np.full(5, 0.2)).tolist() == [2, 3, 1, 0]  # 4 was never seen


def test_what_is_rare_everywhere_is_left_out():
    counts = np.array([[100_000, 1, 200], [100_000, 90, 100]])
    rare = np.array([1, LEAST / 2, LEAST / 2])
    assert most_changed(counts, rare).tolist()[:1] == [2] and 1 not in most_changed(counts, rare)
    assert most_changed(counts, np.array([1, LEAST, 0])).tolist()[0] == 1  # not rare in real data


def test_no_more_than_are_shown():
    rng = np.random.default_rng(0)
    counts = rng.integers(100, 900, (2, 3 * SHOWN))
    chosen = most_changed(counts, np.full(3 * SHOWN, 1 / 3 / SHOWN))
    share = counts / counts.sum(axis=1, keepdims=True)
    factor = np.abs(np.log(share[1] / share[0]))
    assert len(set(chosen.tolist())) == SHOWN
    assert factor[chosen].min() > np.delete(factor, chosen).max() - 0.01  # half a subtree moves a factor by less
