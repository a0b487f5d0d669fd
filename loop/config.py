"""Everything that decides the result of a sweep; the defaults are the paper's (arXiv 2311.16822).

Not here, because they change no result: where files go, how many devices, how members share them.
"""

import dataclasses
import difflib
import functools
import itertools
import math
from typing import Any

from logic.boolean.language import Boolean
from logic.language import Language
from loop.cell import NO_REMEDY, TRANSFORMER, Cell, split
from loop.cycles import CYCLES, USUAL
from loop.learners import canonical_learner
from loop.remedies import acting, canonical_remedies, check_remedies, remedies_of, sampling_with
from model.config import ModelConfig, SampleConfig

VALIDATIONS = ("mixed", "real")
WINDOWS = ("random", "aligned")


def _check(condition: bool, field: str, value: object, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{field} = {value}: {allowed}")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How one model is trained from scratch."""

    batch_size: int = 64  # windows of context_length symbols per step
    micro_batch: int = 0  # of them, that a device works on at once; 0: on a CPU what its cache holds, else what fits
    max_steps: int = 5_000  # optimiser steps
    learning_rate: float = 1e-3  # peak, reached after the warm-up
    min_learning_rate: float = 1e-4  # where the cosine ends, at max_steps
    warmup_steps: int = 100  # steps of linear warm-up
    beta1: float = 0.9  # AdamW, decay of the mean gradient
    beta2: float = 0.99  # AdamW, decay of the mean squared gradient
    weight_decay: float = 0.1  # AdamW, on matrices only
    grad_clip: float = 1.0  # largest global gradient norm
    validation_fraction: float = 0.1  # share of the examples held out for validation
    eval_interval: int = 250  # steps between evaluations
    eval_batches: int = 20  # batches of training and of validation windows per evaluation
    patience: int = 0  # stop after this many evaluations without a new best; 0 never stops early
    validation: str = "mixed"  # mixed (a split of the training set) | real (as many fresh real examples instead)
    windows: str = "random"  # random (nanoGPT) | aligned (every window begins at an expression)

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_steps", "eval_interval", "eval_batches"):
            _check(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "allowed are integers from 1")
        divisors = [n for n in range(1, self.batch_size + 1) if self.batch_size % n == 0]
        _check(
            self.micro_batch in (0, *divisors),
            "train.micro_batch",
            self.micro_batch,
            f"allowed are 0 (automatic) and the divisors of train.batch_size = {self.batch_size}: "
            + ", ".join(map(str, divisors)),
        )
        for name in ("warmup_steps", "patience", "min_learning_rate", "weight_decay"):
            _check(
                0 <= getattr(self, name) < math.inf, f"train.{name}", getattr(self, name), "allowed are numbers from 0"
            )
        for name in ("learning_rate", "grad_clip"):
            allowed = "allowed are numbers above 0; 1e30 is as good as infinite"
            _check(0 < getattr(self, name) < math.inf, f"train.{name}", getattr(self, name), allowed)
        for name in ("beta1", "beta2"):
            _check(0 <= getattr(self, name) < 1, f"train.{name}", getattr(self, name), "allowed are 0 <= beta < 1")
        share = self.validation_fraction
        _check(0 < share < 1, "train.validation_fraction", share, "allowed are 0 < fraction < 1")
        _check(
            self.warmup_steps <= self.max_steps,
            "train.warmup_steps",
            self.warmup_steps,
            f"allowed are integers from 0 to train.max_steps = {self.max_steps}: the peak is reached after the warm-up",
        )
        allowed = f"allowed are {', '.join(VALIDATIONS)}"
        _check(self.validation in VALIDATIONS, "train.validation", self.validation, allowed)
        _check(self.windows in WINDOWS, "train.windows", self.windows, f"allowed are {', '.join(WINDOWS)}")


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """Sizes of the data and length of the loop."""

    generations: int = 50  # models trained: M_0 … M_{generations - 1}
    num_examples: int = 10_000  # m, examples in D_0
    num_samples: int = 10_000  # n, samples each model writes
    first_pool: int | None = None  # D_0 is drawn, with replacement, from so many real examples; None: from all of them
    num_held_out: int = 2_000  # real expressions, the same for all cells, on which models are compared with the truth
    renewal_share: float | None = None  # ρ, incoming block / m; None: 1 for expanding, 0.5 for incremental

    def __post_init__(self) -> None:
        _check(self.generations >= 1, "loop.generations", self.generations, "allowed are integers from 1")
        _check(self.num_examples >= 2, "loop.num_examples", self.num_examples, "allowed are integers from 2")
        _check(self.num_samples >= 1, "loop.num_samples", self.num_samples, "allowed are integers from 1")
        if (pool := self.first_pool) is not None:
            allowed = f"allowed are integers from 1 to loop.num_examples = {self.num_examples}, or None"
            _check(1 <= pool <= self.num_examples, "loop.first_pool", pool, allowed)
        _check(self.num_held_out >= 1, "loop.num_held_out", self.num_held_out, "allowed are integers from 1")
        if self.renewal_share is not None:
            share = self.renewal_share
            _check(0 < share <= 1, "loop.renewal_share", share, "allowed are 0 < share <= 1, or None")


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """The cells: the product of cycles, ratios, learners, remedies and seeds, each once.

    A control ignores the ratios, and has no remedy: it has nothing to be remedied.
    """

    cycles: tuple[str, ...] = USUAL  # data cycles; see loop/cycles
    fresh_ratios: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)  # φ, share of fresh real data in the incoming block
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)  # of all random streams; equal seeds share data, weights and batch order
    learners: tuple[str, ...] = (TRANSFORMER,)  # who learns: transformer, memoriser, grammar, ngram(order=5)
    remedies: tuple[str, ...] = (NO_REMEDY,)  # what is tried against the collapse: none, verified|unique(copies=2), …
    # Every combination of further fields' values is a run of all cells, in a directory of its own in the run's.
    axes: tuple[tuple[str, tuple[Any, ...]], ...] = ()  # ((field, values), …): (("sample.temperature", (0.6, 0.8)),)
    shard: tuple[int, int] | None = None  # (I, N): only the I-th (from 0) of N shards of the cells; None: all of them

    def __post_init__(self) -> None:
        object.__setattr__(self, "learners", tuple(canonical_learner(name) for name in self.learners))
        object.__setattr__(self, "remedies", tuple(canonical_remedies(spelling) for spelling in self.remedies))
        for name in ("cycles", "fresh_ratios", "seeds", "learners", "remedies"):
            _check(len(getattr(self, name)) > 0, f"sweep.{name}", "()", "at least one is needed")
        for cycle in self.cycles:
            near = difflib.get_close_matches(cycle, CYCLES, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}? " if near else ""
            _check(cycle in CYCLES, "sweep.cycles", cycle, f"{hint}allowed are {', '.join(CYCLES)}")
        for ratio in self.fresh_ratios:
            _check(0 <= ratio <= 1, "sweep.fresh_ratios", ratio, "allowed are ratios from 0 to 1")
        for seed in self.seeds:
            _check(0 <= seed < 2**32, "sweep.seeds", seed, "allowed are integers from 0 to 2**32 - 1")


@dataclasses.dataclass(frozen=True)
class Config:
    """One sweep: a set of cells that share everything else."""

    language: Language = dataclasses.field(default_factory=Boolean)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    sample: SampleConfig = dataclasses.field(default_factory=SampleConfig)
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)
    sweep: SweepConfig = dataclasses.field(default_factory=SweepConfig)

    def __post_init__(self) -> None:
        symbols = len(self.language.vocabulary)
        _check(
            self.model.vocab_size in (0, symbols),
            "model.vocab_size",
            self.model.vocab_size,
            f"allowed are {symbols}, the symbols of the language, and 0 for as many as it has",
        )
        object.__setattr__(self, "model", dataclasses.replace(self.model, vocab_size=symbols))
        _check(self.sample.top_k <= symbols, "sample.top_k", self.sample.top_k, f"allowed are 0 (all) to {symbols}")
        context, shortest = self.model.context_length, self.language.min_length
        _check(context >= shortest, "model.context_length", context, f"the shortest real sample has {shortest} symbols")
        if self.sweep.shard is not None:
            i, n = self.sweep.shard
            most = len(self.all_cells())
            _check(0 <= i < n <= most, "shard", f"{i}/{n}", f"allowed are I/N with 0 <= I < N <= {most}, the cells")
        names: dict[str, Cell] = {}
        for cell in self.all_cells():
            _check(
                cell.cycle != "rescue" or cell.fresh_ratio < 1,
                "sweep.fresh_ratios",
                cell.fresh_ratio,
                "allowed are ratios below 1 with the cycle rescue: φ = 1 stands for a control, which never collapses",
            )
            check_remedies(cell.remedy, self.language, cell.is_network, cell.learner)
            other = names.setdefault(cell.name, cell)
            field = "fresh_ratio" if other.fresh_ratio != cell.fresh_ratio else "remedy"
            _check(
                other == cell,
                "sweep.fresh_ratios" if field == "fresh_ratio" else "sweep.remedies",
                f"{getattr(other, field)!r}, {getattr(cell, field)!r}",
                f"allowed are values that differ in six digits: both name their cells {cell.name}",
            )
            if acting(remedies_of(cell.remedy), "select"):
                continue  # it may repeat samples
            needed = max(self.num_generated(cell, t) for t in range(self.loop.generations))
            _check(
                needed <= self.loop.num_samples,
                "loop.num_samples",
                self.loop.num_samples,
                f"{cell.name} takes {needed} samples into every incoming block, without replacement",
            )

    def cells(self) -> list[Cell]:
        """The cells to run, those of the shard if there is one, each once, in the order of the configuration."""
        if self.sweep.shard is None:
            return self.all_cells()
        i, n = self.sweep.shard
        return split(self.all_cells(), n)[i]

    def all_cells(self) -> list[Cell]:
        """The cells of all shards, each once, in the order of the configuration."""
        sweep = self.sweep
        each = (sweep.cycles, sweep.fresh_ratios, sweep.learners, sweep.remedies, sweep.seeds)
        return list(_all_cells(*map(tuple, each)))

    def networks(self) -> list[Cell]:
        """The cells to run whose learner is the transformer."""
        return [cell for cell in self.cells() if cell.is_network]

    def sample_of(self, cell: Cell) -> SampleConfig:
        """How a cell's model is sampled: `sample`, or as its remedy says."""
        return sampling_with(cell.remedy, self.sample)

    def block_size(self, cycle: str) -> int:
        """b, examples in the incoming block."""
        return CYCLES[cycle].block_size(self.loop.num_examples, self.loop.renewal_share)

    def num_fresh(self, cell: Cell, generation: int) -> int:
        """φ·b, fresh real examples in the block that a generation leaves behind."""
        ratio = CYCLES[cell.cycle].fresh_ratio(cell.fresh_ratio, generation)
        return round(ratio * self.block_size(cell.cycle))

    def num_generated(self, cell: Cell, generation: int) -> int:
        """(1-φ)·b, generated examples in it."""
        return self.block_size(cell.cycle) - self.num_fresh(cell, generation)

    def train_size(self, cycle: str, generation: int) -> int:
        """Examples in D_t."""
        return CYCLES[cycle].train_size(self.loop.num_examples, self.block_size(cycle), generation)


@functools.lru_cache(maxsize=16)
def _all_cells(*each: tuple[Any, ...]) -> tuple[Cell, ...]:
    cells = (
        Cell(cycle, 1.0, seed, learner)
        if CYCLES[cycle].is_control or ratio == 1
        else Cell(cycle, float(ratio), seed, learner, remedy)
        for cycle, ratio, learner, remedy, seed in itertools.product(*each)
    )
    return tuple(dict.fromkeys(cells))
