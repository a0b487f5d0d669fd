import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from eval.measures.row import (
    COLUMNS,
    KEYS,
    SAMPLE_COLUMNS,
    measure_change,
    measure_model,
    measure_samples,
    measure_training_set,
)
from logic.boolean.grammar import Grammar
from logic.boolean.symbols import encode
from logic.boolean.verifier import verify
from loop.examples import Examples, concatenate

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
    expected: dict = dict.fromkeys(SAMPLE_COLUMNS, 0.0) | {"top1_share": 1.0, "outside_syntax": 1.0}
    expected |= {"unique_fraction": pytest.approx(1 / 3), "unique_trees_fraction": pytest.approx(1 / 3)}
    expected |= dict.fromkeys(("kl_depth", "tv_depth", "kl_length", "tv_length", "kl_root", "tv_root"))
    assert row == expected


def test_training_set_and_novelty():
    real = Examples.drawn(encode(["True", "True", "False"]), 0)
    train = concatenate([real, Examples.written(encode(["(True)"]), 0, real)])
    row = measure_training_set(train, np.random.default_rng(0), limit=100)
    # Six pairs: one equal, two of True and False, three of a constant and its bracketed self or the other's.
    assert row["train_diversity"] == pytest.approx((0 + 1 + 1 + 2 / 3 + 2 / 3 + 1) / 6)
    assert (row["train_size"], row["train_unique_fraction"], row["train_real_fraction"]) == (4, 0.75, 0.75)
    samples = Examples.written(encode(["True", "not True", "", "(True)"]), 1, train)
    change = measure_change(samples, train)
    assert (change["novelty"], change["real_root_share"]) == (0.5, 0.25)
    p, q = [1 / 4, 0, 1 / 4, 1 / 4, 1 / 4], [1 / 2, 1 / 4, 1 / 4, 0, 0]
    assert change["js_training"] == pytest.approx(jensenshannon(p, q) ** 2)


def test_diversity_of_a_large_training_set_is_estimated_without_bias():
    train = Examples.drawn(GRAMMAR.sample(400, np.random.default_rng(0)), 0)
    exact = measure_training_set(train, np.random.default_rng(0), 400)["train_diversity"]
    rows = [measure_training_set(train, np.random.default_rng(s), 60) for s in range(60)]
    estimates = np.array([row["train_diversity"] for row in rows], float)
    assert np.mean(estimates) == pytest.approx(exact, abs=4 * np.std(estimates) / 60**0.5)
    assert len(set(estimates.tolist())) > 50


def test_the_columns_are_the_contract():
    train = Examples.drawn(encode(["(not False)"]), 0)
    row = {
        **measured("True"),
        **measure_change(train, train),
        **measure_training_set(train, np.random.default_rng(0), 9),
        **measure_model(np.ones(1), train.expressions, GRAMMAR),
    }
    costs = {"train_loss", "validation_loss", "steps", "train_seconds", "sample_seconds", "train_tokens"}
    assert {*KEYS, *row, *costs} == set(COLUMNS)
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert set(SAMPLE_COLUMNS) == set(measured("True"))
