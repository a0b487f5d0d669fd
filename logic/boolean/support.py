"""The support of the real distribution as a list, where it is short enough."""

from logic.boolean.grammar import Grammar
from logic.boolean.masks import full_mask, leaf_masks
from logic.boolean.symbols import AND, CLOSE, NOT, OPEN, OR

LIMIT = 1_000_000  # expressions that are listed at most
_PAIRS = 1_000_000  # pairs of truth tables that are joined at most to count them; 2^16 tables have 2^32


def count(grammar: Grammar) -> int | None:
    """Number of expressions in the support, exactly, by dynamic programming over truth tables and depths.

    None where counting them takes too long: with four variables from depth 3 on, when there are more than `LIMIT`.
    """
    leaves, full = leaf_masks(grammar.num_variables, grammar.constants), full_mask(grammar.num_variables)
    below: dict[int, int] = {}  # expressions of each truth table, whose root lies one deeper
    for depth in range(grammar.max_depth, -1, -1):
        here: dict[int, int] = {}
        if depth >= grammar.min_depth:
            here |= dict.fromkeys(leaves.values(), 1)
        if depth < grammar.max_depth:
            if len(below) ** 2 > _PAIRS:
                return None
            for x, number in below.items():
                here[full ^ x] = here.get(full ^ x, 0) + number
                for y, other in below.items():
                    here[x & y] = here.get(x & y, 0) + number * other
                    here[x | y] = here.get(x | y, 0) + number * other
        below = here
    return below.get(full, 0)


def expressions(grammar: Grammar) -> list[bytes]:
    """All expressions of the support, in the order of their symbols.

    Raises ValueError beyond `LIMIT`, before any work.
    """
    number = count(grammar)
    if number is None or number > LIMIT:
        shown = "too many to be counted" if number is None else f"a number of {len(str(number))} digits"
        raise ValueError(
            f"language.max_depth = {grammar.max_depth}: true expressions are {shown}, at most {LIMIT:,} can be listed"
        )
    leaves, full = leaf_masks(grammar.num_variables, grammar.constants), full_mask(grammar.num_variables)
    below: dict[int, list[bytes]] = {}
    for depth in range(grammar.max_depth, -1, -1):
        here: dict[int, list[bytes]] = {}
        if depth >= grammar.min_depth:
            for symbol, mask in leaves.items():
                here.setdefault(mask, []).append(bytes([symbol]))
        if depth < grammar.max_depth:
            for x, firsts in below.items():
                if depth > 0 or full ^ x == full:
                    here.setdefault(full ^ x, []).extend(bytes([OPEN, NOT]) + a + bytes([CLOSE]) for a in firsts)
                for y, seconds in below.items():
                    for op, mask in ((AND, x & y), (OR, x | y)):
                        if depth > 0 or mask == full:
                            here.setdefault(mask, []).extend(
                                bytes([OPEN]) + a + bytes([op]) + b + bytes([CLOSE]) for a in firsts for b in seconds
                            )
        below = here
    return sorted(below[full])
