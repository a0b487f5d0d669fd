import numpy as np
import pandas as pd
import pytest

from loop.cell import KEYS, Cell
from loop.storage.checksums import Damaged
from loop.storage.curve_files import EVALUATION
from loop.storage.run_directory import RunDirectory

CELL, OTHER = Cell("full", 0.1 + 0.2, 3), Cell("fresh", 1.0, 3)  # a ratio that a short text does not tell
CURVES = {
    CELL: np.array([[10, 1 / 3, 2 / 3, np.pi], [20, 1e-9, 0.5, 1.25]]),
    OTHER: np.array([[7, np.nan, np.inf, 0.5]]),
}


@pytest.fixture
def directory(tmp_path):
    made = RunDirectory(tmp_path / "run")
    made.create({}, "1 x test")
    return made


def test_curves_come_back_bit_by_bit(directory):
    assert directory.read_curves(4) == {}
    directory.write_curves(4, CURVES)
    found = RunDirectory(directory.path).read_curves(4)
    assert list(found) == list(CURVES)
    for cell, curve in CURVES.items():
        assert found[cell].tobytes() == curve.tobytes()
    assert not [path for path in (directory.path / "training").iterdir() if path.name.startswith(".")]


def test_pandas_reads_the_table(directory):
    directory.write_curves(4, CURVES)
    table = pd.read_csv(directory.path / "training" / "generation_0004.csv")
    assert tuple(table) == (*KEYS, *EVALUATION)
    np.testing.assert_allclose(table[list(EVALUATION)], np.concatenate(list(CURVES.values())), rtol=1e-14)
    assert table["seed"].tolist() == [3, 3, 3] and table["generation"].tolist() == [4, 4, 4]
    np.testing.assert_allclose(table["fresh_ratio"], [0.3, 0.3, 1.0])


def test_damaged_tables_are_said(directory):
    directory.write_curves(0, CURVES)
    path = directory.path / "training" / "generation_0000.csv"
    header, *rows = path.read_text().splitlines()
    for content in (header + "\nfull,0.0", "a,b\n1,2", f"{header}\n{rows[0]}x", "\xff"):
        path.write_text(content, encoding="latin-1")
        with pytest.raises(Damaged, match=r"generation_0000\.csv is damaged"):
            directory.read_curves(0)


def test_curves_of_another_past_are_removed(directory):
    for t in range(3):
        directory.write_curves(t, CURVES)
    directory.remove_from(1)
    assert [bool(directory.read_curves(t)) for t in range(3)] == [True, False, False]
