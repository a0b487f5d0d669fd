"""What the loop needs of a language: the one object that samplers, sizes, measures, commands and reports ask.

A language is a frozen dataclass that derives from `Language`. What it does not have (no verdicts, no exact
probabilities) it leaves as it is here: measures that need it are then absent, not empty. LANGUAGES has them all.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

EOS = 0  # id of the symbol that a sample begins after and ends before, in every language
UNKNOWN = 255  # what the text reader makes of a word outside the vocabulary; no model can write it

Verdicts = Mapping[str, np.ndarray]  # name -> bool_N; each verdict implies the one before


class Verdict(NamedTuple):
    """One question that can be decided of every sample."""

    name: str  # of the array in `Verdicts`
    column: str  # in metrics.csv: the fraction of samples that pass
    label: str  # for axes and pickers
    meaning: str  # for tables
    failure: str  # column of the fraction that passes the verdicts before and not this one
    failure_label: str
    kind: str  # what a sample is called whose last passed verdict this is
    symbol: str  # and how it is marked


class Statistic(NamedTuple):
    """A number that every sample of the support has, and its exact distribution under R."""

    name: str
    label: str
    values: Callable[[Sequence[bytes]], np.ndarray]  # int64_N, from 0 on
    distribution: np.ndarray  # P(value = k) for k = 0, 1, …


class Functions(NamedTuple):
    """What the subtrees of samples compute, each function being a number, and how often under R."""

    counts: Callable[[Sequence[bytes]], np.ndarray]  # subtrees of samples by their function, int64_F
    expected: np.ndarray  # those of one sample of R on average, float64_F
    spell: Callable[[int], str]  # a name for a function


@dataclasses.dataclass(frozen=True)
class Language:
    """A vocabulary, a distribution R of real data over it, and what can be decided exactly.

    A sample is a `bytes` object of symbol ids, one byte a symbol, without `<eos>`. Fields are the `language` group of
    the configuration and flags of the commands: an int or a bool with a comment behind it, which is the flag's help.
    `name` is set by each language and finds it in LANGUAGES.
    """

    name: str = dataclasses.field(default="", kw_only=True)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The word of every id; id 0 is `<eos>`."""
        raise NotImplementedError

    @property
    def min_length(self) -> int:
        """Symbols of the shortest real sample."""
        return 1

    @property
    def max_length(self) -> int:
        """Symbols of the longest real sample."""
        raise NotImplementedError

    def sample(self, n: int, rng: np.random.Generator) -> list[bytes]:
        """n independent draws from R."""
        raise NotImplementedError

    # Text. By default, words are separated by white space.

    def encode(self, lines: Sequence[str]) -> list[bytes]:
        """Reads one sample a line; a word outside the vocabulary is `UNKNOWN`."""
        ids = {word: i for i, word in enumerate(self.vocabulary) if i != EOS}
        return [bytes([ids.get(word, UNKNOWN) for word in self.words(line)]) for line in lines]

    def decode(self, samples: Sequence[bytes]) -> list[str]:
        """Writes each sample as a line; any sequence of symbols reads back as itself."""
        vocabulary = self.vocabulary
        return [" ".join([vocabulary[symbol] for symbol in sample]) for sample in samples]

    def words(self, line: str) -> list[str]:
        """The words of a line as the text reader separates them, one for each symbol of `encode`."""
        return re.findall(r"\S+", line)

    # Truth, where the language has it.

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What `verify` decides, from the weakest to the strongest."""
        return ()

    @property
    def malformed(self) -> str:
        """What a sample is called that passes no verdict."""
        return "passes no verdict"

    @property
    def correct(self) -> str | None:
        """The name of the verdict that makes a sample correct."""
        return self.verdicts[-1].name if self.verdicts else None

    @property
    def correctness(self) -> str | None:
        """The column of that verdict."""
        return next((verdict.column for verdict in self.verdicts if verdict.name == self.correct), None)

    def verify(self, samples: Sequence[bytes]) -> Verdicts:
        """Decides `verdicts` of any sequences of symbols; never by running them as code."""
        return {}

    def rows_true(self, samples: Sequence[bytes]) -> np.ndarray | None:
        """Graded truth: the share of cases in which each sample is true, float64_N; None where there is one case."""
        return None

    # What is exact, where it is.

    def log_probability(self, samples: Sequence[bytes]) -> np.ndarray | None:
        """log R(e) in nats, float64_N, minus infinity outside the support; None if it cannot be computed."""
        return None

    @property
    def entropy(self) -> float | None:
        """Entropy of R in nats; None if it cannot be computed."""
        return None

    def whole_support(self) -> tuple[list[bytes], np.ndarray]:
        """All samples that R can draw, and their log-probabilities, float64_U, in nats.

        Raises ValueError if they are too many to be listed, or the language cannot list them.
        """
        raise ValueError(f"the language {self.name} does not list its support")

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """Numbers of samples whose distribution under R is exact."""
        return ()

    def length_distribution(self) -> np.ndarray:
        """P(length = k symbols) under R; where that is not exact, as if all samples were of the longest."""
        found = [s.distribution for s in self.statistics if s.name == "length"]
        return found[0] if found else np.eye(1, self.max_length + 1, self.max_length)[0]

    @property
    def support(self) -> str | None:
        """The name of the verdict that says that R could have drawn a sample."""
        return None

    @property
    def functions(self) -> Functions | None:
        """What subtrees of samples compute; None for a language whose subtrees are no functions of anything."""
        return None

    def depth(self, samples: Sequence[bytes]) -> np.ndarray | None:
        """Depth of every sample, correct or not, int64_N; None for a language without depth."""
        return None

    def fit(self, samples: Sequence[bytes]) -> tuple[Any, int]:
        """The most likely member of the language's own family, and how many samples are not in it.

        Raises ValueError if none is, or if the language has no such family.
        """
        raise ValueError(f"the language {self.name} has no family of distributions to fit")

    def normal_form(self, sample: bytes) -> bytes:
        """Equal for samples that count as the same up to the order of operands; by default the sample itself."""
        return sample
