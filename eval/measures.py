"""The measures of one cell and generation: the columns of metrics.csv."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from eval.correctness import correctness
from eval.distribution import support_coverage
from eval.diversity import levenshtein_diversity, sample_entropy, top1_share, unique_fraction
from logic.examples import Examples
from logic.grammar import Grammar
from logic.symbols import lengths
from logic.truth_table import evaluate
from logic.verifier import Verdicts

SAMPLE_COLUMNS = (
    "syntactic_correctness",
    "semantic_correctness",
    "in_support",
    "levenshtein_diversity",
    "unique_fraction",
    "novelty",
    "sample_entropy",
    "support_coverage",
    "length_mean",
    "depth_mean",
    "top1_share",
)
COLUMNS = (
    "cycle",
    "fresh_ratio",
    "seed",
    "generation",
    *SAMPLE_COLUMNS,
    "train_size",
    "train_unique_fraction",
    "train_real_fraction",
    "train_diversity",
    "train_loss",
    "validation_loss",
    "steps",
    "train_seconds",
    "sample_seconds",
    "train_tokens",
)


def measure_samples(
    samples: list[bytes],
    verdicts: Verdicts,
    grammar: Grammar,
    counts: Counter | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, float]:
    """The measures that need nothing but samples; at least one. Lengths in symbols, entropy in nats.

    The depth of a sample is its deepest bracket nesting, whether or not it is correct. `counts` are the samples'
    multiplicities, where some hold words that `bytes` cannot tell apart. `progress` is that of the diversity.
    """
    counts = Counter(samples) if counts is None else counts
    return {
        **correctness(verdicts),
        "levenshtein_diversity": levenshtein_diversity(counts, progress=progress),
        "unique_fraction": unique_fraction(counts),
        "sample_entropy": sample_entropy(counts),
        "support_coverage": support_coverage(set(samples), grammar),
        "length_mean": float(lengths(samples).mean()),
        "depth_mean": float(evaluate(samples).depth.mean()),
        "top1_share": top1_share(counts),
    }


def measure_training_set(train: Examples, rng: np.random.Generator, limit: int) -> dict[str, float]:
    """The measures of D_t.

    `train_diversity` is exact up to `limit` examples, else that of a random subset of that size (unbiased): the
    pairs of a set that grows from generation to generation soon cannot be counted.
    """
    rows = rng.choice(len(train), min(limit, len(train)), replace=False)
    return {
        "train_size": len(train),
        "train_unique_fraction": unique_fraction(Counter(train.expressions)),
        "train_real_fraction": train.real_fraction,
        "train_diversity": levenshtein_diversity(Counter(train.take(rows).expressions)),
    }


def novelty(samples: list[bytes], train: Examples) -> float:
    """Fraction of the samples that do not occur in D_t."""
    known = set(train.expressions)
    return float(np.mean([e not in known for e in samples]))
