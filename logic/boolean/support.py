"""The support of the real distribution as a list, where it is short enough."""

from logic.boolean.grammar import Grammar
from logic.boolean.productions import BINARY, Productions
from logic.boolean.symbols import AND, CLOSE, NOT, OPEN

LIMIT = 1_000_000  # expressions that are listed at most


def count(grammar: Grammar) -> int:
    """Number of expressions in the support, exactly, by dynamic programming over values and depths."""
    g = Productions()
    below = [0] * g.M  # expressions of each value, whose root lies one deeper
    for depth in range(grammar.max_depth, -1, -1):
        here = [0] * g.M
        if depth >= grammar.min_depth:
            for _, value in g.leaves:
                here[value] += 1
        if depth < grammar.max_depth:
            for x, number in enumerate(below):
                here[g.full ^ x] += number
                for y, other in enumerate(below):
                    here[x & y] += number * other
                    here[x | y] += number * other
        below = here
    return below[g.full]


def expressions(grammar: Grammar) -> list[bytes]:
    """All expressions of the support, in the order of their symbols.

    Raises ValueError beyond `LIMIT`, before any work.
    """
    number = count(grammar)
    if number > LIMIT:
        digits = len(str(number))
        raise ValueError(
            f"language.max_depth = {grammar.max_depth}: true expressions are a number of {digits} digits, "
            f"at most {LIMIT:,} can be listed"
        )
    g = Productions()
    below: list[list[bytes]] = [[] for _ in range(g.M)]
    for depth in range(grammar.max_depth, -1, -1):
        here: list[list[bytes]] = [[] for _ in range(g.M)]
        if depth >= grammar.min_depth:
            for symbol, value in g.leaves:
                here[value].append(bytes([symbol]))
        wanted = [g.full] if depth == 0 else range(g.M)
        if depth < grammar.max_depth:
            for x, firsts in enumerate(below):
                if g.full ^ x in wanted:
                    here[g.full ^ x] += [bytes([OPEN, NOT]) + a + bytes([CLOSE]) for a in firsts]
                for y, seconds in enumerate(below):
                    for op in BINARY:
                        value = x & y if op == AND else x | y
                        if value in wanted:
                            here[value] += [
                                bytes([OPEN]) + a + bytes([op]) + b + bytes([CLOSE]) for a in firsts for b in seconds
                            ]
        below = here
    return sorted(below[g.full])
