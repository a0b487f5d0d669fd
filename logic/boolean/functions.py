"""Truth functions by their shortest expressions: a measure of how complex each is, and a name for it."""

import functools

import numpy as np

from logic.boolean.masks import dual, from_superset_sums, full_mask, leaf_masks, superset_sums
from logic.boolean.symbols import AND, CLOSE, NOT, OPEN, OR


def _leaves(num_variables: int, constants: bool) -> dict[int, int]:
    """Symbol ids of the leaves by their masks."""
    return {mask: symbol for symbol, mask in leaf_masks(num_variables, constants).items()}


@functools.cache
def shortest_lengths(num_variables: int, constants: bool = True) -> np.ndarray:
    """Symbols of the shortest fully bracketed expression of each truth table, at any depth, int64 by mask.

    Needs a variable. Length by length: what two shorter operands can give, from superset sums of the numbers of
    tables of each length (see `masks`); an `or` gives the duals of what an `and` gives.
    """
    full, dual_V = full_mask(num_variables), dual(num_variables)
    length_V = np.zeros(full + 1, np.int64)  # 0: not yet found
    length_V[list(_leaves(num_variables, constants))] = 1
    sums: dict[int, np.ndarray] = {1: superset_sums((length_V[None] == 1).astype(float))}
    length = 1
    while not length_V.all():
        length += 1
        pairs = [sums[a] * sums[length - 3 - a] for a in sums if length - 3 - a in sums]
        found_V = (length_V == length - 3)[::-1] & (length > 3)  # by a `not`
        if pairs:
            both_V = from_superset_sums(np.sum(pairs, axis=0))[0] > 0.5
            found_V = found_V | both_V | both_V[dual_V]
        found_V = found_V & (length_V == 0)
        if found_V.any():
            length_V[found_V] = length
            sums[length] = superset_sums(found_V[None].astype(float))
    length_V.flags.writeable = False  # it is kept
    return length_V


@functools.cache
def shortest_expression(mask: int, num_variables: int, constants: bool = True) -> bytes:
    """One of the shortest fully bracketed expressions with a truth table: `not` first, then `and`, then `or`."""
    length_V, full = shortest_lengths(num_variables, constants), full_mask(num_variables)
    shorter = functools.partial(shortest_expression, num_variables=num_variables, constants=constants)
    if length_V[mask] == 1:
        return bytes([_leaves(num_variables, constants)[mask]])
    if length_V[full ^ mask] == length_V[mask] - 3:
        return bytes([OPEN, NOT]) + shorter(full ^ mask) + bytes([CLOSE])
    mask_V = np.arange(full + 1)
    for operator, combine in ((AND, np.bitwise_and), (OR, np.bitwise_or)):
        fits_V = combine(mask_V, mask) == mask  # an operand of `and` contains the mask, one of `or` lies inside it
        left = mask_V[fits_V & (length_V <= length_V[mask] - 4)]
        for a in left[np.argsort(length_V[left], kind="stable")].tolist():
            b_V = mask_V[fits_V & (length_V == length_V[mask] - 3 - length_V[a])]
            b_V = b_V[combine(b_V, a) == mask]
            if len(b_V):
                return bytes([OPEN]) + shorter(a) + bytes([operator]) + shorter(int(b_V[0])) + bytes([CLOSE])
    raise AssertionError(f"no expression of {length_V[mask]} symbols has the truth table {mask}")
