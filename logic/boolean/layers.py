"""Trees as layers: the symbols of all nodes of a batch of expressions, one array a depth, the roots first.

The children of a depth are stored as all first children, then all second children, in their parents' order.
"""

import numpy as np

from logic.boolean.symbols import CLOSE, NOT, OPEN, OR


def children(symbol: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which nodes of a layer have a first child, and which have a second one as well."""
    return np.flatnonzero(symbol <= NOT), np.flatnonzero(symbol <= OR)


def write(symbols: list[np.ndarray]) -> list[bytes]:
    """Fully bracketed expressions from their layers: lengths from the leaves up, places from the root down."""
    layers, child_length = [], np.zeros(0, np.int64)
    for symbol in symbols[::-1]:
        unary, binary = children(symbol)
        first = np.zeros(len(symbol), np.int64)
        second = np.zeros(len(symbol), np.int64)
        first[unary], second[binary] = np.split(child_length, [len(unary)])
        child_length = np.where(symbol <= NOT, 3 + first + second, 1)
        layers.append((symbol, unary, binary, first, child_length))
    length_N = child_length
    flat = np.zeros(int(length_N.sum()), np.uint8)
    place = np.cumsum(length_N) - length_N
    for symbol, unary, binary, first, length in layers[::-1]:
        is_not, is_leaf = symbol == NOT, symbol > NOT
        flat[place[unary]] = OPEN
        flat[(place + length - 1)[unary]] = CLOSE
        own = place + np.where(is_leaf, 0, np.where(is_not, 1, 1 + first))
        flat[own] = symbol
        place = np.concatenate([(place + 1 + is_not)[unary], (place + 2 + first)[binary]])
    data = flat.tobytes()
    ends = np.cumsum(length_N).tolist()
    return [data[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)] if ends else []
