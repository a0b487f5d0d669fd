"""Truth tables as bit masks.

A table over k variables has 2**k rows; bit i of its mask is the value in row i, in which variable j is bit j of i. A
function of masks is an array whose last axis V has one entry a mask, 2**(2**k) of them. With two subtrees of
independent random tables, the distribution of the table of their `and` is a convolution over masks, which *superset
sums* turn into a product: x & y contains z just when x and y both do.
"""

import numpy as np

from logic.boolean.symbols import FALSE, TRUE, VOCAB_SIZE


def full_mask(num_variables: int) -> int:
    """The table that is true in every row."""
    return (1 << (1 << num_variables)) - 1


def variable_mask(variable: int, num_variables: int) -> int:
    """The table of a variable alone."""
    return sum(1 << row for row in range(1 << num_variables) if row >> variable & 1)


def leaf_masks(num_variables: int, constants: bool = True) -> dict[int, int]:
    """The tables of the leaves, by symbol id."""
    masks = {TRUE: full_mask(num_variables), FALSE: 0} if constants else {}
    return masks | {VOCAB_SIZE + i: variable_mask(i, num_variables) for i in range(num_variables)}


def rows_true(mask_N: np.ndarray, num_variables: int) -> np.ndarray:
    """Fraction of the rows that are true, float64_N."""
    return np.bitwise_count(mask_N) / (1 << num_variables)


def dual(num_variables: int) -> np.ndarray:
    """dual_V[mask]: the table after `and` and `or`, True and False have changed places."""
    rows, full = 1 << num_variables, full_mask(num_variables)
    mask_V = np.arange(full + 1)
    return full ^ np.bitwise_or.reduce([(mask_V >> row & 1) << (rows - 1 - row) for row in range(rows)])


def superset_sums(x_BV: np.ndarray) -> np.ndarray:
    """y[mask] = the sum of x over all masks that contain it, for every row of x."""
    return _transform(x_BV, np.add)


def from_superset_sums(y_BV: np.ndarray) -> np.ndarray:
    """The inverse of `superset_sums`; floating point leaves an absolute error, about 1e-16 of the largest sum."""
    return _transform(y_BV, np.subtract)


def subset_sums(x_BV: np.ndarray) -> np.ndarray:
    """y[mask] = the sum of x over all masks inside it; the transpose of `superset_sums`."""
    return _transform(x_BV[:, ::-1], np.add)[:, ::-1]


def from_subset_sums(y_BV: np.ndarray) -> np.ndarray:
    """The inverse of `subset_sums`, and the transpose of `from_superset_sums`."""
    return _transform(y_BV[:, ::-1], np.subtract)[:, ::-1]


def _transform(x_BV: np.ndarray, ufunc: np.ufunc) -> np.ndarray:
    """Adds to, or subtracts from, the entry without a bit the entry with it, bit after bit.

    A mask is cut into two halves of bits, and each is treated as the first of two axes: whole rows are added then.
    """
    B, V = x_BV.shape
    side = 1 << (V.bit_length() // 2)  # V has an even number of bits
    x_BHW = x_BV.reshape(B, side, V // side)
    for _ in range(2):
        x_BHW = np.ascontiguousarray(np.swapaxes(x_BHW, 1, 2))
        if np.may_share_memory(x_BHW, x_BV):
            x_BHW = x_BHW.copy()
        for step in (1 << i for i in range(side.bit_length() - 1)):
            without, having = np.moveaxis(x_BHW.reshape(B, side // step // 2, 2, step * side), 2, 0)
            ufunc(without, having, out=without)
    return x_BHW.reshape(B, V)
