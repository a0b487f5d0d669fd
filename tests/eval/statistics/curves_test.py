import pandas as pd
import pytest

from eval.statistics.curves import control_of, controls, curves, group_name, groups
from loop.cell import Cell
from tests.columns import group


def metrics(*cells):
    """Cells (cycle, fresh ratio, seed, generations, control)."""
    rows = [
        Cell(c, r, s).keys | {"generation": t, "levenshtein_diversity": s + t / 10, "control": k}
        for c, r, s, last, k in cells
        for t in range(last)
    ]
    return pd.DataFrame(rows)


def test_curves_are_those_of_the_cells_that_got_there():
    table = curves(
        metrics(("full", 0.5, 3, 2, False), ("full", 0.5, 1, 3, False), ("full", 0.0, 9, 3, False)), group("full", 0.5)
    )
    assert table.index.tolist() == [1] and table.columns.tolist() == [0, 1, 2] and table.loc[1, 2] == pytest.approx(1.2)
    assert curves(metrics(("full", 0.5, 1, 1, False)), group("full", 0.5), "no_such_measure").empty


LOOP = ("full", 0.0, 0, 1, False)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], None),
        ([("full", 0.5, 0, 1, False)], None),
        ([("new", 1.0, 0, 1, True)], group("new", 1.0)),
        ([("new", 1.0, 0, 1, True), ("full", 1.0, 0, 1, True)], group("full", 1.0)),
        ([("grown", 1.0, 0, 1, True), ("grown", 0.0, 0, 1, False)], None),  # the control of another cycle
    ],
    ids=["none", "no control", "of its own cycle", "the nearest", "another cycle's"],
)
def test_who_is_compared_with_which_control(others, expected):
    table = metrics(LOOP, *others)
    assert control_of(table, group("full", 0.0)) == expected
    assert all(control_of(table, key) is None for key in controls(table))
    assert groups(table)[0] == group("full", 0.0)


def test_names():
    assert group_name(group("incremental", 0.25)) == "incremental, fresh 0.25"
