import numpy as np
import pytest

from logic.boolean.functions import shortest_expression, shortest_lengths
from logic.boolean.masks import leaf_masks
from logic.boolean.symbols import FALSE, TRUE, decode
from logic.boolean.truth_table import evaluate


def relaxed(num_variables: int, constants: bool) -> np.ndarray:
    """Shortest lengths by trying all operators on all pairs of tables until nothing becomes shorter."""
    V = 2**2**num_variables
    length_V = np.full(V, 10**6)
    length_V[[m for s, m in leaf_masks(num_variables).items() if constants or s not in (TRUE, FALSE)]] = 1
    mask_V = np.arange(V)
    while True:
        before = length_V.copy()
        np.minimum.at(length_V, V - 1 - mask_V, before + 3)
        pairs = before[:, None] + before + 3
        np.minimum.at(length_V, mask_V[:, None] & mask_V, pairs)
        np.minimum.at(length_V, mask_V[:, None] | mask_V, pairs)
        if (length_V == before).all():
            return length_V


@pytest.mark.parametrize("constants", [True, False])
@pytest.mark.parametrize("num_variables", [1, 2, 3])
def test_shortest_expressions(num_variables, constants):
    length_V = shortest_lengths(num_variables, constants)
    np.testing.assert_array_equal(length_V, relaxed(num_variables, constants))
    expressions = [shortest_expression(mask, num_variables, constants) for mask in range(len(length_V))]
    e = evaluate(expressions, num_variables)
    assert e.bracketed[length_V > 1].all() and e.syntactic.all()
    assert e.table.tolist() == list(range(len(length_V)))
    assert [len(x) for x in expressions] == length_V.tolist()
    assert constants or not e.constants.any()


@pytest.mark.slow
def test_four_variables():
    length_V = shortest_lengths(4)
    some = np.random.default_rng(0).integers(65536, size=15).tolist()
    expressions = [shortest_expression(mask, 4) for mask in some]
    assert evaluate(expressions, 4).table.tolist() == some
    assert [len(x) for x in expressions] == length_V[some].tolist()
    # Khrapchenko's bound, which four variables reach: the parity of n variables takes n**2 leaves.
    parity = shortest_expression(sum(1 << row for row in range(16) if row.bit_count() % 2), 4)
    assert sum(symbol >= TRUE for symbol in parity) == 16


def test_names_of_functions_of_two_variables():
    names = decode([shortest_expression(mask, 2) for mask in (0b0000, 0b1010, 0b1000, 0b1101, 0b0110, 0b1001)])
    assert names == [
        "False",
        "p",
        "(p and q)",
        "(q or (not p))",
        "((p or q) and (not (p and q)))",
        "((p and q) or (not (p or q)))",
    ]
