import numpy as np
import pytest
from scipy import stats

from logic.boolean.pairs import draw_pairs


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_pairs_follow_their_weights(bits):
    rng, V, n = np.random.default_rng(0), 1 << bits, 20_000
    weight_V = rng.random(V) * (rng.random(V) < 0.8)  # some masks cannot occur
    weight_V[-1] += 1
    mask_V = np.arange(V)
    joint = weight_V[:, None] * weight_V
    possible = [m for m in range(V) if joint[mask_V[:, None] & mask_V == m].sum() > 0]
    mask_N = rng.permutation(np.repeat(possible, n))
    a_N, b_N = draw_pairs(weight_V, mask_N, rng)
    np.testing.assert_array_equal(a_N & b_N, mask_N)
    for mask in possible:
        expected = np.where(mask_V[:, None] & mask_V == mask, joint, 0)
        drawn = np.zeros((V, V), int)
        np.add.at(drawn, (a_N[mask_N == mask], b_N[mask_N == mask]), 1)
        assert not drawn[expected == 0].any()
        kept = expected > 0
        if kept.sum() > 1:
            assert stats.chisquare(drawn[kept], n * expected[kept] / expected.sum()).pvalue > 1e-4


def test_pairs_of_sixteen_bits():
    """One bit of a mask tells nothing of another where the weights are products over the bits: every free bit is
    in a, in b or in neither, independently."""
    rng, n = np.random.default_rng(1), 30_000
    p_K = rng.uniform(0.2, 0.8, 16)
    bits_VK = np.arange(1 << 16)[:, None] >> np.arange(16) & 1
    weight_V = np.where(bits_VK == 1, p_K, 1 - p_K).prod(axis=1)
    masks = rng.integers(1 << 16, size=20)
    masks[:2] = 0, 65535
    mask_N = np.resize(masks, n)
    a_N, b_N = draw_pairs(weight_V, mask_N, rng)
    np.testing.assert_array_equal(a_N & b_N, mask_N)
    for bit, p in enumerate(p_K):
        a, b = (x[mask_N >> bit & 1 == 0] >> bit & 1 for x in (a_N, b_N))
        expected = np.array([(1 - p) ** 2, p * (1 - p), p * (1 - p)])
        drawn = np.bincount(a + 2 * b, minlength=3)
        assert stats.chisquare(drawn, len(a) * expected / expected.sum()).pvalue > 1e-4


def test_pairs_of_no_masks():
    a_N, b_N = draw_pairs(np.ones(16), np.zeros(0, int), np.random.default_rng(0))
    assert len(a_N) == len(b_N) == 0
