"""The measures of one cell and generation: the columns of metrics.csv."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from eval.measures.anatomy import real_root_share, unique_trees_fraction
from eval.measures.correctness import correctness
from eval.measures.distribution import (
    jensen_shannon,
    kl_from_real,
    kl_paired,
    marginals,
    outside,
    rare_mass_reached,
    support_coverage,
)
from eval.measures.diversity import levenshtein_diversity, sample_entropy, top1_share, unique_fraction
from logic.boolean.grammar import Grammar
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import Verdicts
from logic.ids import lengths
from loop.examples import Examples

KEYS = ("cycle", "fresh_ratio", "seed", "generation")
SAMPLE_COLUMNS = (  # of S_t alone
    "syntactic_correctness",
    "semantic_correctness",
    "in_support",
    "outside_syntax",
    "outside_false",
    "outside_form",
    "levenshtein_diversity",
    "unique_fraction",
    "unique_trees_fraction",
    "sample_entropy",
    "support_coverage",
    "rare_mass_reached",
    "length_mean",
    "depth_mean",
    "top1_share",
    "kl_depth",
    "tv_depth",
    "kl_length",
    "tv_length",
    "kl_root",
    "tv_root",
)
COLUMNS = (
    *KEYS,
    *SAMPLE_COLUMNS,
    "novelty",
    "real_root_share",
    "js_training",
    "train_size",
    "train_unique_fraction",
    "train_real_fraction",
    "train_diversity",
    "real_nll",
    "kl_from_real",
    "kl_from_real_se",
    "kl_paired",
    "kl_paired_se",
    "train_loss",
    "validation_loss",
    "steps",
    "train_seconds",
    "sample_seconds",
    "train_tokens",
)

Row = dict[str, float | None]  # None: not defined, such as the depth of the samples in the support without any


def measure_samples(
    samples: list[bytes],
    verdicts: Verdicts,
    grammar: Grammar,
    counts: Counter | None = None,
    progress: Callable[[float], None] | None = None,
) -> Row:
    """The measures that need nothing but samples; at least one. Lengths in symbols, entropy in nats.

    The depth of a sample is its deepest bracket nesting, whether or not it is correct. `counts` are the samples'
    multiplicities, where some hold words that `bytes` cannot tell apart. `progress` is that of the diversity.
    """
    counts = Counter(samples) if counts is None else counts
    return {
        **correctness(verdicts),
        **outside(verdicts),
        "levenshtein_diversity": levenshtein_diversity(counts, progress=progress),
        "unique_fraction": unique_fraction(counts),
        "unique_trees_fraction": unique_trees_fraction(counts),
        "sample_entropy": sample_entropy(counts),
        "support_coverage": support_coverage(set(samples), grammar),
        "rare_mass_reached": rare_mass_reached(set(samples), grammar),
        "length_mean": float(lengths(samples).mean()),
        "depth_mean": float(evaluate(samples).depth.mean()),
        "top1_share": top1_share(counts),
        **marginals(samples, verdicts, grammar),
    }


def measure_training_set(train: Examples, rng: np.random.Generator, limit: int) -> Row:
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


def measure_change(samples: Examples, train: Examples) -> Row:
    """What became of D_t in S_t: new expressions, old ones of real descent, and the distance between the two."""
    given = Counter(train.expressions)
    return {
        "novelty": float(np.mean([e not in given for e in samples.expressions])),
        "real_root_share": real_root_share(samples),
        "js_training": jensen_shannon(Counter(samples.expressions), given),
    }


def measure_model(nll_N: np.ndarray, held_out: Sequence[bytes], grammar: Grammar) -> Row:
    """The distance of M_t from R at temperature 1, from -log M_t(e) in nats on held-out real expressions.

    `kl_from_real` is real_nll less the entropy of R; `kl_paired` estimates the same with less noise. Real expressions
    longer than the context are cut there, as samples are: then both are lower bounds.
    """
    kl, paired = kl_from_real(nll_N, grammar), kl_paired(nll_N, grammar.log_probability(held_out))
    return {
        "real_nll": float(np.mean(nll_N)),
        "kl_from_real": kl.value,
        "kl_from_real_se": kl.standard_error,
        "kl_paired": paired.value,
        "kl_paired_se": paired.standard_error,
    }
