"""Boolean expressions as a language: the paper's."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from logic.boolean import support, symbols
from logic.boolean.fitted import FittedGrammar, fit
from logic.boolean.functions import shortest_expression
from logic.boolean.grammar import Grammar
from logic.boolean.productions import Productions
from logic.boolean.trees import commutative_form, root_operator, subtree_counts
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import verify
from logic.ids import lengths
from logic.language import Functions, Language, Statistic, Verdict, Verdicts

_VERDICTS = (
    Verdict(
        "syntactic",
        "syntactic_correctness",
        "syntactic correctness",
        "fraction of samples that are a boolean expression by Python's grammar",
        "outside_syntax",
        "outside the support: no expression",
        "an expression, but not true",
        "▲",
    ),
    Verdict(
        "semantic",
        "semantic_correctness",
        "semantic correctness",
        "fraction that are also true",
        "outside_false",
        "outside the support: not true",
        "correct, but outside the support",
        "◆",
    ),
    Verdict(
        "in_support",
        "in_support",
        "in the support of the real distribution",
        "fraction that the generator of the real data could have written",
        "outside_form",
        "outside the support: true, of another form",
        "in support: what the generator of the real data could have written",
        "●",
    ),
)


@dataclasses.dataclass(frozen=True)
class Boolean(Language):
    """True expressions over True, False, not, and, or (Briesch et al., arXiv 2311.16822): GenLogicExpr's, when true."""

    name: str = dataclasses.field(default="boolean", kw_only=True)
    min_depth: int = 1  # every leaf of real data lies at least this deep, in operators
    max_depth: int = 5  # and at most this deep, min_depth to 12
    num_variables: int = 0  # leaves besides the constants: none (the paper's), or the first of p, q, r, s
    constants: bool = True  # whether True and False are leaves of real data

    def __post_init__(self) -> None:
        _ = self.grammar  # refuses bounds that are not possible

    @functools.cached_property
    def grammar(self) -> Grammar:
        """The real distribution."""
        return Grammar(self.min_depth, self.max_depth, self.num_variables, self.constants)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self.grammar.vocabulary

    @property
    def min_length(self) -> int:
        return self.grammar.min_length

    @property
    def max_length(self) -> int:
        return self.grammar.max_length

    def sample(self, n: int, rng: np.random.Generator) -> list[bytes]:
        return self.grammar.sample(n, rng)

    def encode(self, lines: Sequence[str]) -> list[bytes]:
        return symbols.encode(lines, self.num_variables)

    def decode(self, samples: Sequence[bytes]) -> list[str]:
        return symbols.decode(samples)

    def words(self, line: str) -> list[str]:
        return symbols.words(line)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return _VERDICTS

    @property
    def malformed(self) -> str:
        return "not an expression"

    @property
    def correct(self) -> str:
        return "semantic"

    @property
    def support(self) -> str:
        return "in_support"

    def verify(self, samples: Sequence[bytes]) -> Verdicts:
        return verify(samples, self.grammar)._asdict()

    def rows_true(self, samples: Sequence[bytes]) -> np.ndarray | None:
        return evaluate(samples, self.num_variables).rows_true if self.num_variables else None

    def log_probability(self, samples: Sequence[bytes]) -> np.ndarray:
        return self.grammar.log_probability(samples)

    @property
    def entropy(self) -> float:
        return self.grammar.entropy

    def whole_support(self) -> tuple[list[bytes], np.ndarray]:
        listed = support.expressions(self.grammar)
        return listed, self.log_probability(listed)

    @functools.cached_property
    def statistics(self) -> tuple[Statistic, ...]:
        return (
            Statistic("depth", "depth", self.depth, self.grammar.depth_distribution()),
            Statistic("length", "length (symbols)", lengths, self.grammar.length_distribution()),
            Statistic("root", "root operator", root_operator, self.grammar.root_distribution()),
        )

    def depth(self, samples: Sequence[bytes]) -> np.ndarray:
        return evaluate(samples, self.num_variables).depth

    def fit(self, samples: Sequence[bytes]) -> tuple[FittedGrammar, int]:
        productions = Productions.of(self.num_variables, self.constants)
        return fit(samples, self.verify(samples)[self.support], productions)

    @functools.cached_property
    def functions(self) -> Functions | None:
        k, constants = self.num_variables, self.constants
        if not k:
            return None
        return Functions(
            functools.partial(subtree_counts, num_variables=k),
            self.grammar.subtree_counts(),
            lambda mask: symbols.decode([shortest_expression(mask, k, constants)])[0],
        )

    def normal_form(self, sample: bytes) -> bytes:
        return commutative_form(sample)
