"""How large the benchmarked models are, and how much work each measurement is.

Importing this module is cheap: no JAX.
"""

import dataclasses

from logic.boolean.language import Boolean
from model.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Size:
    """One size of model, with the workloads that go with it."""

    name: str
    num_layers: int
    num_heads: int
    width: int
    context_length: int  # symbols of a training window
    sample_context: int  # symbols that a sampled expression may have
    max_depth: int  # of the language that is sampled; its longest expression fits sample_context
    batch_size: int = 64  # windows per training step
    # Steps of a training measurement, at least: the first one touches fresh memory, which in a run's chunks of hundreds
    # of steps does not show.
    train_steps: int = 12
    num_samples: int = 1_000  # written per measurement
    num_uncached: int = 256  # written per measurement by the sampler without a cache, on CPU
    generation_depth: int = 3  # max_depth of a whole generation's language; its longest expression fits context_length
    # A whole generation has the paper's number of expressions, and trains on each about five times (paper: 22).
    generation_steps: int = 300  # training steps of a whole generation
    generation_examples: int = 10_000  # training examples and samples of a whole generation
    ensemble_steps: int = 40  # training steps per measurement of an ensemble, on CPU

    def model(self, dtype: str = "float32", dropout: float = 0.0, context_length: int | None = None) -> ModelConfig:
        """The transformer of this size: GPT-2's shape, as far as the product has it."""
        return ModelConfig(
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            width=self.width,
            context_length=context_length or self.context_length,
            dropout=dropout,
            dtype=dtype,
            vocab_size=len(self.language.vocabulary),
        )

    @property
    def language(self) -> Boolean:
        """The expressions that are sampled."""
        return Boolean(1, self.max_depth)

    @property
    def generation_language(self) -> Boolean:
        """The expressions of a whole generation."""
        return Boolean(1, self.generation_depth)


TINY = Size("tiny", 2, 2, 64, context_length=32, sample_context=64, max_depth=4)
SMALL = Size(
    "small",
    4,
    4,
    128,
    context_length=128,
    sample_context=128,
    max_depth=5,
    num_uncached=32,
    generation_depth=5,
    generation_steps=100,
    ensemble_steps=4,
)
PAPER = Size(
    "paper",
    6,
    6,
    384,
    context_length=256,
    sample_context=256,
    max_depth=5,
    train_steps=3,
    num_uncached=4,
    generation_depth=5,
    generation_steps=250,
    ensemble_steps=1,
)
SIZES = {size.name: size for size in (TINY, SMALL, PAPER)}


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may choose about the measurements."""

    repeats: int = 5  # A/B pairs per case
    min_seconds: float = 1.0  # a measurement repeats its work until this much time has passed
    cores: int = 1  # that this process may use; as many threads in PyTorch
    devices: int = 1  # virtual CPU devices; ignored on accelerators
    dtype: str = "float32"  # of activations
    dropout: float = 0.0  # while training, ours and the peers
    members: tuple[int, ...] = (1, 2, 4, 8)  # of an ensemble, per device
    modes: tuple[str, ...] = ("map", "vmap")  # how a device takes its members: map, vmap, or how many at once
    cells: int = 0  # of a whole generation; 0: one per virtual CPU device, or eight on an accelerator
    temperatures: int = 8  # of an axis
    num_expressions: int = 10_000  # verified, or compared pairwise
