import itertools

import numpy as np
import pytest

from logic.boolean.masks import (
    dual,
    from_subset_sums,
    from_superset_sums,
    full_mask,
    leaf_masks,
    rows_true,
    subset_sums,
    superset_sums,
)
from logic.boolean.symbols import AND, FALSE, OR, TRUE, encode
from logic.boolean.truth_table import evaluate


def test_leaves_are_their_tables():
    assert leaf_masks(0) == {TRUE: 1, FALSE: 0}
    assert leaf_masks(2) == {TRUE: 0b1111, FALSE: 0, 8: 0b1010, 9: 0b1100}
    for k in range(5):
        tables = list(itertools.product((0, 1), repeat=k))  # the last alternates: the first variable
        for i in range(k):
            assert leaf_masks(k)[8 + i] == sum(row[k - 1 - i] << at for at, row in enumerate(tables))
        assert leaf_masks(k)[TRUE] == full_mask(k) == 2**2**k - 1


def test_rows():
    assert rows_true(np.array([0, 1, 0b1010, 0b1111], np.uint16), 2).tolist() == [0, 0.25, 0.5, 1]
    assert rows_true(np.array([0xFFFF, 0x8001], np.uint16), 4).tolist() == [1, 0.125]


@pytest.mark.parametrize("num_variables", [1, 2, 3])
def test_sums(num_variables):
    x_BV = np.random.default_rng(0).random((3, full_mask(num_variables) + 1))
    before = x_BV.copy()
    mask_V = np.arange(x_BV.shape[1])
    contains = (mask_V[:, None] & mask_V) == mask_V  # [mask, what is inside it]
    np.testing.assert_allclose(superset_sums(x_BV), x_BV @ contains, rtol=1e-12)
    np.testing.assert_allclose(subset_sums(x_BV), x_BV @ contains.T, rtol=1e-12)
    np.testing.assert_allclose(from_superset_sums(superset_sums(x_BV)), x_BV, atol=1e-9)
    np.testing.assert_allclose(from_subset_sums(subset_sums(x_BV)), x_BV, atol=1e-9)
    np.testing.assert_array_equal(x_BV, before)


def test_four_variables():
    """Sums over all masks, over one, and at random masks by definition; real and complex."""
    rng = np.random.default_rng(1)
    x_BV = rng.random((2, 65536)) + 1j * rng.random((2, 65536))
    y_BV, mask_V = superset_sums(x_BV), np.arange(65536)
    for mask in [0, 65535, *rng.integers(65536, size=20).tolist()]:
        np.testing.assert_allclose(y_BV[:, mask], x_BV[:, mask_V & mask == mask].sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(from_superset_sums(y_BV), x_BV, atol=1e-9)
    ones = from_superset_sums(superset_sums(np.ones((1, 65536))) ** 2)[0]
    np.testing.assert_array_equal(ones, 3.0 ** (16 - np.bitwise_count(mask_V)))  # pairs with a given `and`


@pytest.mark.parametrize("num_variables", [1, 2, 3, 4])
def test_dual_is_the_table_of_the_expression_with_operators_and_constants_exchanged(num_variables):
    rng = np.random.default_rng(2)
    text = ["(p or True)", "(p and (not p))", "((p and False) or p)", "True"]
    leaves = [TRUE, FALSE, *range(8, 8 + num_variables)]
    form = encode(["((p and p) or ((p or p) and (not p)))"], 1)[0]
    expressions = encode(text, num_variables)
    expressions += [bytes(rng.choice(leaves) if s == 8 else s for s in form) for _ in range(300)]
    exchanged = [
        e.translate(bytes.maketrans(bytes([AND, OR, TRUE, FALSE]), bytes([OR, AND, FALSE, TRUE]))) for e in expressions
    ]
    table = evaluate(expressions, num_variables).table
    assert len(set(table.tolist())) > 2
    np.testing.assert_array_equal(dual(num_variables)[table], evaluate(exchanged, num_variables).table)
