"""Pairs of truth tables whose `and` is given, drawn exactly and all at once."""

import numpy as np

_CELLS = 1 << 20  # numbers in the largest temporary array, roughly


def draw_pairs(weight_V: np.ndarray, mask_N: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws masks a_N and b_N with a & b = mask and probability in proportion to weight[a] * weight[b].

    Both contain the mask, and of the other bits, here *free*, no one lies in both. So a weighs its own weight times
    that of all b inside the complement: subset sums over the free bits. Every stage of these sums is kept, and b is
    found in them from the last bit to the first. The cost is 2**free a distinct mask, and `free` look-ups a pair.
    """
    bits = len(weight_V).bit_length() - 1
    free_N = bits - np.bitwise_count(mask_N).astype(np.int64)
    # Masks in order of their free bits: those of equal number make one array.
    distinct, of_N = np.unique(free_N * len(weight_V) + mask_N, return_inverse=True)
    free_D, mask_D = np.divmod(distinct, len(weight_V))
    order = np.argsort(of_N, kind="stable")
    start_D = np.searchsorted(of_N[order], np.arange(len(distinct) + 1))
    uniform_2N = rng.random((2, len(mask_N)))
    a_N, b_N = np.empty_like(mask_N), np.empty_like(mask_N)
    for free in np.unique(free_D).tolist():
        begin, end = np.searchsorted(free_D, [free, free + 1])
        size = max(1, _CELLS // ((free + 1) << free))
        for low in range(begin, end, size):
            high = min(low + size, end)
            pairs = order[start_D[low] : start_D[high]]
            mask_MT = _supersets(mask_D[low:high], free, bits)
            row = of_N[pairs] - low
            a, b = _draw(weight_V[mask_MT], free, row, uniform_2N[:, pairs])
            a_N[pairs], b_N[pairs] = mask_MT[row, a], mask_MT[row, b]
    return a_N, b_N


def _supersets(mask_M: np.ndarray, free: int, bits: int) -> np.ndarray:
    """supersets_MT[i, t]: the mask with its free bits set to those of t, for masks with equally many free bits."""
    bit_MF = 1 << np.nonzero(mask_M[:, None] >> np.arange(bits) & 1 == 0)[1].reshape(len(mask_M), free)
    out_MT = mask_M[:, None]
    for i in range(free):
        out_MT = np.concatenate([out_MT, out_MT | bit_MF[:, i : i + 1]], axis=1)
    return out_MT


def _draw(weight_MT: np.ndarray, free: int, row: np.ndarray, uniform_2N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint subsets a and b of the free bits, in proportion to weight[row, a] * weight[row, b]."""
    M, T = weight_MT.shape
    stages = [weight_MT]  # stage i: over all subsets that differ in the first i bits only
    for i in range(free):
        sums = stages[-1].copy().reshape(M, T >> (i + 1), 2, 1 << i)
        sums[:, :, 1] += sums[:, :, 0]
        stages.append(sums.reshape(M, T))
    cumulative = np.cumsum(weight_MT * stages[-1][:, ::-1], axis=1)
    total = cumulative[row, -1]
    target = np.minimum(uniform_2N[0] * total, np.nextafter(total, 0))  # below the total in spite of rounding
    a = np.zeros(len(row), np.int64)
    for i in range(free - 1, -1, -1):
        a += (cumulative[row, a + (1 << i) - 1] <= target) << i
    b = T - 1 - a
    target = uniform_2N[1] * stages[-1][row, b]
    for i in range(free - 1, -1, -1):
        having, without = stages[i][row, b], stages[i][row, b & ~(1 << i)]
        has_bit = b >> i & 1 == 1
        keep = has_bit & (target >= without) & (having > 0)  # having > 0 fails by rounding alone
        target -= np.where(keep, without, 0)
        b -= (has_bit & ~keep) << i
    return a, b
