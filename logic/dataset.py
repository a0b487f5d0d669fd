"""A TFDS data set of the real data: true expressions, drawn from the real distribution.

It is stored as array_record and needs no TensorFlow. TFDS is slow to import and may be missing where models
are trained, so other modules import this one where they use it.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from logic import streams
from logic.boolean.grammar import Grammar
from logic.boolean.symbols import VARIABLES, decode, vocabulary
from logic.boolean.truth_table import evaluate


def symbol_ids(num_variables: int) -> str:
    """The vocabulary in words."""
    return ", ".join(f"{i} {word}" for i, word in enumerate(vocabulary(num_variables)))


_CITATION = """\
@article{briesch2023large,
  title   = {Large Language Models Suffer From Their Own Output: An Analysis of the Self-Consuming Training Loop},
  author  = {Briesch, Martin and Sobania, Dominik and Rothlauf, Franz},
  journal = {arXiv preprint arXiv:2311.16822},
  year    = {2023},
}"""


@dataclasses.dataclass(eq=False)
class DepthConfig(tfds.core.BuilderConfig):
    """Bounds of the expressions' depth, and their leaves, as in `Grammar`."""

    min_depth: int = 1
    max_depth: int = 5
    num_variables: int = 0
    constants: bool = True


def depth_config(min_depth: int, max_depth: int, num_variables: int = 0, constants: bool = True) -> DepthConfig:
    """The configuration `depth_<min_depth>_<max_depth>[_variables_<num_variables>[_no_constants]]`; others than the
    listed ones work as well."""
    name, leaves = f"depth_{min_depth}_{max_depth}", ["True", "False"] * constants + list(VARIABLES[:num_variables])
    name += f"_variables_{num_variables}" * (num_variables > 0) + "_no_constants" * (not constants)
    return DepthConfig(
        name=name,
        description=f"Depths from {min_depth} to {max_depth}; leaves {', '.join(leaves)}.",
        min_depth=min_depth,
        max_depth=max_depth,
        num_variables=num_variables,
        constants=constants,
    )


class LogicExpressions(tfds.core.GeneratorBasedBuilder):
    """Draws from the real distribution: independent, so an expression can occur more than once.

    With this module imported: tfds.data_source("logic_expressions/depth_1_5", data_dir=…, split="train").
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 (TFDS declares it so)
    BUILDER_CONFIGS = [  # noqa: RUF012
        *(depth_config(1, max_depth) for max_depth in (2, 3, 4, 5, 6)),
        *(depth_config(1, 5, num_variables) for num_variables in (1, 2, 3, 4)),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "depth_1_5"

    def __init__(self, *, file_format: str | None = None, **kwargs: Any) -> None:
        # The default of TFDS, tfrecord, needs TensorFlow.
        super().__init__(file_format=file_format or "array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Logic expressions over not, and, or, and the leaves that the configuration names, all of them true in "
                "every row of their truth tables: independent draws from GenLogicExpr (Briesch et al.) conditioned "
                "on being true. `log_probability` is exact, in nats; "
                f"`symbols` are ids: {symbol_ids(self.builder_config.num_variables)}."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "expression": tfds.features.Text(doc="Python's own syntax, fully bracketed."),
                    "symbols": tfds.features.Tensor(shape=(None,), dtype=np.uint8, doc="Ids, without <eos>."),
                    "depth": tfds.features.Scalar(dtype=np.int32, doc="Deepest bracket nesting."),
                    "log_probability": tfds.features.Tensor(
                        shape=(), dtype=np.float64, encoding="bytes", doc="Exact, in nats."
                    ),
                }
            ),
            homepage="https://arxiv.org/abs/2311.16822",
            citation=_CITATION,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        sizes = {"train": 10_000, "validation": 1_000, "test": 1_000}
        return {split: self._generate_examples(n, i) for i, (split, n) in enumerate(sizes.items())}

    def _generate_examples(self, n: int, split: int) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.builder_config
        grammar = Grammar(config.min_depth, config.max_depth, config.num_variables, config.constants)
        expressions = grammar.sample(n, streams.data_set(split))
        columns = {
            "expression": decode(expressions),
            "symbols": [np.frombuffer(e, np.uint8) for e in expressions],
            "depth": evaluate(expressions, config.num_variables).depth,
            "log_probability": grammar.log_probability(expressions),
        }
        for i, row in enumerate(zip(*columns.values(), strict=True)):
            yield i, dict(zip(columns, row, strict=True))
