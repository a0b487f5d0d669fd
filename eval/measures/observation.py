"""What measures may look at: one cell and generation, or less of it."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from logic.language import Language, Verdicts
from loop.examples import Examples
from loop.self_likelihood import FIRST, SELF

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Observation:
    """One cell and generation as far as it is known: what is not given leaves out the measures that need it.

    What several measures use is computed at its first use and kept. Arrays are not to be changed.
    """

    language: Language
    samples: Examples | None = None  # S_t, at least one, with its verdicts
    verdicts: Verdicts = dataclasses.field(default_factory=dict)  # name -> bool_N
    training_set: Examples | None = None  # D_t, if the samples know what they descend from
    held_out: Sequence[bytes] = ()  # independent draws from R that no model is trained on
    held_out_nll: np.ndarray | None = None  # float_N, -log M_t(e) of `held_out` in nats, at temperature 1
    counters: Mapping[str, float] | None = None  # losses, likelihoods, steps and costs, under their columns' names
    subsets: np.random.Generator | None = None  # draws the subset of D_t for measures that are too costly on all of it
    subset_size: int = 0  # at most so many of D_t
    words: Counter | None = None  # multiplicities of the samples where some hold words that `bytes` cannot tell apart
    progress: Callable[[float], None] | None = None  # hears the share of a long comparison that is done

    @functools.cached_property
    def has(self) -> set[str]:
        """What measures may need and is here."""
        given = {
            "samples": self.samples is not None,
            "training_set": self.training_set is not None,
            "training_subset": self.training_set is not None and self.subsets is not None,
            "held_out": self.held_out_nll is not None and len(self.held_out_nll) > 0,
            "training": self.counters is not None and "train_loss" in self.counters,  # by gradient descent
            "self_likelihood": self.counters is not None and SELF in self.counters,
            "first_likelihood": self.counters is not None and FIRST in self.counters,
            "costs": self.counters is not None,
        }
        return {name for name, here in given.items() if here} | parts(self.language)

    @functools.cached_property
    def expressions(self) -> list[bytes]:
        """The samples without their provenance, for measures that need `samples`."""
        assert self.samples is not None
        return self.samples.expressions

    @functools.cached_property
    def roots(self) -> np.ndarray:
        """Where each sample descends from, see loop/examples.py: int32_N, below 0 for a draw of R."""
        assert self.samples is not None
        return self.samples.root

    @functools.cached_property
    def counts(self) -> Counter:
        """Multiplicity of every distinct sample."""
        return Counter(self.expressions) if self.words is None else self.words

    @functools.cached_property
    def log_real_distinct(self) -> np.ndarray:
        """log R(e) of every distinct sample, float64_U."""
        return self.log_real(list(set(self.expressions)))

    @functools.cached_property
    def log_real_held_out(self) -> np.ndarray:
        """log R(e) of the held-out draws, float64_N."""
        return self.log_real(self.held_out)

    def log_real(self, expressions: Sequence[bytes]) -> np.ndarray:
        """log R(e) in nats of any expressions, for measures that need `log_probability`."""
        log_real_N = self.language.log_probability(expressions)
        assert log_real_N is not None
        return log_real_N

    @functools.cached_property
    def in_support(self) -> list[bytes]:
        """The samples that R could have drawn, for a language with a verdict that says so."""
        support = self.language.support
        assert support is not None
        return [e for e, ok in zip(self.expressions, self.verdicts[support].tolist(), strict=True) if ok]

    @functools.cached_property
    def nll(self) -> np.ndarray:
        """-log M_t(e) of the held-out draws, for measures that need `held_out`."""
        assert self.held_out_nll is not None
        return self.held_out_nll

    @functools.cached_property
    def train(self) -> Examples:
        """D_t, for measures that need `training_set`."""
        assert self.training_set is not None
        return self.training_set

    @functools.cached_property
    def train_counts(self) -> Counter:
        """Multiplicity of every distinct example of D_t."""
        return Counter(self.train.expressions)

    @functools.cached_property
    def train_subset(self) -> Examples:
        """A random subset of D_t of at most `subset_size` examples, the same for all measures that look at it."""
        assert self.subsets is not None
        n = len(self.train)
        return self.train.take(self.subsets.choice(n, min(self.subset_size, n), replace=False))

    @functools.cached_property
    def _once(self) -> dict[Any, Any]:
        return {}

    def once(self, function: Callable[["Observation"], T]) -> T:
        """`function(self)`, computed at the first call: for measures that are parts of one result."""
        if function not in self._once:
            self._once[function] = function(self)
        return self._once[function]


@functools.cache
def parts(language: Language) -> frozenset[str]:
    """What measures may need of a language (OF_LANGUAGE) and this one has."""
    here = {
        "log_probability": language.log_probability([]) is not None,
        "entropy": language.entropy is not None,
        "depth": language.depth([]) is not None,
        "rows_true": language.rows_true([]) is not None,
        "functions": language.functions is not None,
        "normal_form": type(language).normal_form is not Language.normal_form,
    }
    return frozenset(name for name, there in here.items() if there)
