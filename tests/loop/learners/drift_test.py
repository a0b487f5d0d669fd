"""The memoriser at temperature 1 is the neutral model of population genetics (docs/theory.md)."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from eval.measures.diversity import levenshtein_diversity
from logic.boolean.grammar import Grammar
from loop.learners.memoriser import Memoriser
from model.config import SampleConfig

GRAMMAR, CONFIG = Grammar(1, 2), SampleConfig(temperature=1.0)
R = 1 - sum(np.exp(2 * GRAMMAR.log_probability(sorted(set(GRAMMAR.sample(20_000, np.random.default_rng(0)))))))


def write(data: list[bytes], n: int, rng: np.random.Generator) -> list[bytes]:
    return Memoriser().learn(data, GRAMMAR, 16).sample(n, rng, CONFIG)


def heterozygosity(data: list[bytes]) -> float:
    """Probability that two draws from the frequencies differ."""
    return 1 - sum(c * c for c in Counter(data).values()) / len(data) ** 2


def pairs(data: list[bytes]) -> float:
    """Share of pairs of examples that differ: unbiased, where `heterozygosity` is of draws with replacement."""
    return heterozygosity(data) * len(data) / (len(data) - 1)


def agree(values: list[float], expected: float) -> None:
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert abs(np.mean(values) - expected) < 4 * error
    assert error < 0.06 * expected  # else the agreement says nothing


@pytest.mark.slow
def test_heterozygosity_falls_by_one_over_n_a_generation():
    n, first = 30, GRAMMAR.sample(30, np.random.default_rng(5))
    losses: dict[int, list[float]] = {5: [], 10: [], 20: []}
    distances: dict[int, list[float]] = {5: [], 20: []}
    for seed in range(200):
        rng, data = np.random.default_rng([1, seed]), first
        for t in range(1, 21):
            data = write(data, n, rng)
            if t in losses:
                losses[t].append(heterozygosity(data) / heterozygosity(first))
            if t in distances:
                distances[t].append(levenshtein_diversity(Counter(data)) / levenshtein_diversity(Counter(first)))
    for t, values in losses.items():
        agree(values, (1 - 1 / n) ** t)
    for t, values in distances.items():  # any distance between examples that is 0 between equal ones
        agree(values, (1 - 1 / n) ** t)


@pytest.mark.slow
def test_fresh_data_hold_an_equilibrium():
    n, fresh = 20, 5
    old = n - fresh
    a = old * (old - 1) / (n * (n - 1))  # two examples that are both generated
    settled = []
    for seed in range(60):
        rng = np.random.default_rng([2, seed])
        data, values = GRAMMAR.sample(n, rng), []
        for t in range(16):
            data = write(data, n, rng)[:old] + GRAMMAR.sample(fresh, rng)
            values += [pairs(data)] if t >= 8 else []
        settled.append(float(np.mean(values)))
    equilibrium = R * (1 - a) / (1 - a * (1 - 1 / n))
    agree(settled, equilibrium)
    assert abs(np.mean(settled) - R) > 0.02  # which is not what it would be without drift


@pytest.mark.slow
def test_overlapping_generations_drift_more_slowly():
    n, generations = 20, 8
    b = n // 2
    stay = (n - b) * (n - b - 1) / (n * (n - 1))
    kept = []
    for seed in range(150):
        rng = np.random.default_rng([3, seed])
        data = GRAMMAR.sample(n, rng)
        for _ in range(generations):
            chosen = rng.choice(n, n - b, replace=False)
            data = [data[i] for i in chosen] + write(data, b, rng)
        kept.append(pairs(data) / R)
    agree(kept, (1 - (1 - stay) / n) ** generations)


def test_what_accumulates_loses_two_examples_worth_and_no_more():
    m, generations = 8, 8
    expected = 1.0
    for t in range(generations):
        n, after = m * (t + 1), m * (t + 2)
        expected *= 1 - (1 - n * (n - 1) / (after * (after - 1))) / n
    assert 1 - 2 / m < expected < 1 - 1 / m
    kept = []
    for seed in range(150):
        rng = np.random.default_rng([4, seed])
        data = GRAMMAR.sample(m, rng)
        for _ in range(generations):
            data = data + write(data, m, rng)
        kept.append(pairs(data) / R)
    agree(kept, expected)


def test_the_pairs_of_the_oracle_are_pairs():
    data = GRAMMAR.sample(9, np.random.default_rng(0))
    differ = [x != y for (i, x), (j, y) in product(enumerate(data), repeat=2) if i != j]
    assert pairs(data) == pytest.approx(np.mean(differ))
