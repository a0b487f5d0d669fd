import sys

import numpy as np
import pytest

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import encode
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import verify

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")

from logic.dataset import LogicExpressions, depth_config  # noqa: E402


@pytest.mark.slow
def test_builder(tmp_path):
    """The TFDS builder, prepared and read in the three ways that need no TensorFlow."""
    prepared = tfds.data_source("logic_expressions/depth_1_3", data_dir=tmp_path)
    assert {split: len(source) for split, source in prepared.items()} == {
        "train": 10_000,
        "validation": 1_000,
        "test": 1_000,
    }
    directory = tmp_path / "logic_expressions" / "depth_1_3" / "1.0.0"
    builder = LogicExpressions(config="depth_1_3", data_dir=tmp_path)
    builder.download_and_prepare(file_format="array_record")  # is there already
    rows = list(tfds.builder_from_directory(directory).as_data_source("test"))
    assert rows[5]["expression"] == builder.as_data_source("test")[5]["expression"]

    expressions = [row["symbols"].tobytes() for row in rows]
    assert encode([row["expression"].decode() for row in rows]) == expressions
    assert verify(expressions, Grammar(1, 3)).in_support.all()
    assert [row["depth"] for row in rows] == evaluate(expressions).depth.tolist()
    log_p = np.array([row["log_probability"] for row in rows])
    assert log_p.dtype == np.float64
    np.testing.assert_array_equal(log_p, Grammar(1, 3).log_probability(expressions))
    validation = [row["symbols"].tobytes() for row in prepared["validation"]]
    assert validation != expressions  # every split has its own seed
    assert "2311.16822" in builder.info.citation and "tensorflow" not in sys.modules


def test_builder_configurations():
    assert {"depth_1_2", "depth_1_3", "depth_1_5"} <= set(LogicExpressions.builder_configs)
    other = depth_config(0, 2)
    assert (other.name, other.min_depth, other.max_depth) == ("depth_0_2", 0, 2)
    assert {"depth_1_5_variables_1", "depth_1_5_variables_2", "depth_1_5_variables_4"} <= set(
        LogicExpressions.builder_configs
    )
    assert depth_config(1, 3, 2, constants=False).name == "depth_1_3_variables_2_no_constants"
    with pytest.raises(ValueError, match="nosuch"):
        LogicExpressions(config="nosuch", data_dir="/nonexistent")


def test_builder_default_is_the_papers_depth(tmp_path):
    builder = LogicExpressions(data_dir=tmp_path)
    assert (builder.builder_config.min_depth, builder.builder_config.max_depth) == (1, 5)


@pytest.mark.slow
def test_builder_with_variables(tmp_path):
    builder = LogicExpressions(config=depth_config(1, 3, 2, constants=False), data_dir=tmp_path)
    builder.download_and_prepare(file_format="array_record")
    rows = list(builder.as_data_source("test"))
    expressions, grammar = [row["symbols"].tobytes() for row in rows], Grammar(1, 3, 2, constants=False)
    assert encode([row["expression"].decode() for row in rows], 2) == expressions
    assert verify(expressions, grammar).in_support.all()
    assert [row["depth"] for row in rows] == evaluate(expressions, 2).depth.tolist()
    np.testing.assert_array_equal([row["log_probability"] for row in rows], grammar.log_probability(expressions))
    assert "7 False, 8 p, 9 q" in builder.info.description and "10 r" not in builder.info.description
    assert "leaves p, q." in builder.builder_config.description
