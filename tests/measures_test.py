import math

import numpy as np
import pytest

from eval.measures import COLUMNS, SAMPLE_COLUMNS, measure_samples, measure_training_set, novelty
from logic.examples import GENERATED, REAL, Examples, concatenate
from logic.grammar import Grammar
from logic.symbols import encode
from logic.verifier import verify

GRAMMAR = Grammar(1, 2)


def measured(*lines):
    samples = encode(lines)
    return measure_samples(samples, verify(samples, GRAMMAR), GRAMMAR)


def test_hand_counted_samples():
    row = measured("(not False)", "(not False)", "not False", "(True and False)", "(not True", "")
    assert row["syntactic_correctness"] == pytest.approx(4 / 6)
    assert row["semantic_correctness"] == pytest.approx(3 / 6)
    assert row["in_support"] == pytest.approx(2 / 6)
    assert row["unique_fraction"] == pytest.approx(5 / 6)
    assert row["top1_share"] == pytest.approx(2 / 6)
    assert row["length_mean"] == pytest.approx((4 + 4 + 2 + 5 + 3 + 0) / 6)
    assert row["depth_mean"] == pytest.approx((1 + 1 + 0 + 1 + 1 + 0) / 6)
    assert row["sample_entropy"] == pytest.approx(4 * math.log(6) / 6 + math.log(3) / 3)
    assert row["support_coverage"] == pytest.approx(2 * (1 / 3) * (1 / 5))


def test_coverage_of_the_whole_support_is_one():
    everything = sorted(set(GRAMMAR.sample(50_000, np.random.default_rng(0))))
    row = measure_samples(everything, verify(everything, GRAMMAR), GRAMMAR)
    assert len(everything) == 150
    assert row["support_coverage"] == pytest.approx(1.0)
    assert row["in_support"] == 1.0


def test_nothing_but_empty_samples_is_a_result():
    row = measured("", "", "")
    assert row == {
        "syntactic_correctness": 0, "semantic_correctness": 0, "in_support": 0, "levenshtein_diversity": 0,
        "unique_fraction": pytest.approx(1 / 3), "sample_entropy": 0, "support_coverage": 0, "length_mean": 0,
        "depth_mean": 0, "top1_share": 1,
    }  # fmt: skip


def test_training_set_and_novelty():
    real = Examples.of(encode(["True", "True", "False"]), REAL, 0)
    train = concatenate([real, Examples.of(encode(["(True)"]), GENERATED, 0)])
    row = measure_training_set(train, np.random.default_rng(0), limit=100)
    # Six pairs: one equal, two of True and False, three of a constant and its bracketed self or the other's.
    assert row["train_diversity"] == pytest.approx((0 + 1 + 1 + 2 / 3 + 2 / 3 + 1) / 6)
    assert (row["train_size"], row["train_unique_fraction"], row["train_real_fraction"]) == (4, 0.75, 0.75)
    assert novelty(encode(["True", "not True", "", "(True)"]), train) == 0.5


def test_diversity_of_a_large_training_set_is_estimated_without_bias():
    train = Examples.of(GRAMMAR.sample(400, np.random.default_rng(0)), REAL, 0)
    exact = measure_training_set(train, np.random.default_rng(0), 400)["train_diversity"]
    estimates = [measure_training_set(train, np.random.default_rng(s), 60)["train_diversity"] for s in range(60)]
    assert np.mean(estimates) == pytest.approx(exact, abs=4 * np.std(estimates) / 60**0.5)
    assert len(set(estimates)) > 50


def test_the_columns_are_the_contract():
    assert set(SAMPLE_COLUMNS) == {*measured("True"), "novelty"}
    assert len(set(COLUMNS)) == len(COLUMNS) == 25
