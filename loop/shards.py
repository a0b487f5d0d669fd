"""The cells of a sweep in shards, one for each of several processes that know nothing of each other."""

import itertools
from collections.abc import Sequence

from loop.cell import Cell


def split(cells: Sequence[Cell], count: int) -> list[list[Cell]]:
    """Splits cells into `count` shards, whose sizes differ by one at most, each in the order of `cells`.

    Cells of equal seed compute generation 0 once if they shard a process: sorted by seed and cut into runs, they lie
    in as few shards as equal sizes allow. The result depends on nothing but the arguments.
    """
    first_seen = {seed: i for i, seed in enumerate(dict.fromkeys(cell.seed for cell in cells))}
    by_seed = sorted(cells, key=lambda cell: first_seen[cell.seed])  # stable
    cuts = [len(cells) * i // count for i in range(count + 1)]
    place = {cell: i for i, cell in enumerate(cells)}
    return [sorted(by_seed[a:b], key=place.__getitem__) for a, b in itertools.pairwise(cuts)]
