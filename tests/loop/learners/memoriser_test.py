from collections import Counter

import numpy as np
import pytest
import scipy.stats

from eval.recursion import Real, Setting, trajectory
from logic.boolean import support
from logic.boolean.grammar import Grammar
from loop.learners.memoriser import Memoriser
from loop.learners.prefix_tree import PrefixTree
from model.config import SampleConfig

GRAMMAR = Grammar(1, 2)
T = 16


def learnt(n=4_000, seed=0, context_length=T):
    examples = GRAMMAR.sample(n, np.random.default_rng(seed))
    return examples, Memoriser().learn(examples, GRAMMAR, context_length)


@pytest.mark.parametrize(
    "config",
    [
        SampleConfig(temperature=1.0),
        SampleConfig(temperature=0.6),
        SampleConfig(temperature=1.3, top_k=3),
        SampleConfig(temperature=0.8, top_p=0.7),
    ],
)
def test_frequencies_of_samples_are_its_exact_distribution(config):
    _, memory = learnt()
    n = 50_000
    counts = Counter(memory.sample(n, np.random.default_rng(1), config))
    observed = np.array([counts[e] for e in memory.tree.expressions])
    expected = memory.distribution(config) * n
    assert observed.sum() == n
    assert not observed[expected == 0].any()
    rare = expected < 5  # one class of them, as the test wants it
    classes = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    keep = classes[1] > 0
    assert scipy.stats.chisquare(classes[0][keep], classes[1][keep]).pvalue > 1e-3


def test_at_temperature_one_it_is_the_training_set():
    examples, memory = learnt()
    counts = Counter(examples)
    shares = [counts[e] / len(examples) for e in memory.tree.expressions]
    np.testing.assert_allclose(memory.distribution(SampleConfig(temperature=1.0)), shares, rtol=1e-9)
    np.testing.assert_allclose(memory.log_likelihood(memory.tree.expressions), np.log(shares))


def test_what_it_has_not_seen_is_impossible():
    _, memory = learnt()
    assert np.isneginf(memory.log_likelihood([b"\6", b"", b"\1\5\7\2\2"])).all()


@pytest.mark.parametrize("seed", [0, 1, 3])  # without ties on the way
def test_small_temperatures_are_greedy(seed):
    _, memory = learnt(seed=seed)
    greedy = memory.sample(50, np.random.default_rng(0), SampleConfig(temperature=0))
    assert len(set(greedy)) == 1
    assert memory.sample(50, np.random.default_rng(1), SampleConfig(temperature=1e-3)) == greedy
    prefix = b""  # the walk by hand: the most frequent next symbol
    examples = [e + b"\0" for e in learnt(seed=seed)[0]]
    while not prefix.endswith(b"\0"):
        following = Counter(e[len(prefix)] for e in examples if e.startswith(prefix))
        prefix += bytes([min(following, key=lambda s: (-following[s], s))])
    assert greedy[0] + b"\0" == prefix


def test_samples_are_cut_at_the_context():
    examples, memory = learnt(context_length=7)
    samples = memory.sample(500, np.random.default_rng(0), SampleConfig(temperature=1.0))
    assert max(map(len, samples)) == 7
    assert set(samples) <= {e[:7] for e in examples}
    cut = Counter(e[:7] for e in examples)
    longest = max(cut, key=len)
    # What is read of a longer expression is its beginning, and a sample that fills the context has no end.
    assert memory.log_likelihood([longest + b"\2\2"])[0] == pytest.approx(np.log(cut[longest] / len(examples)))


@pytest.mark.slow
def test_converges_to_the_mean_field_as_the_root_of_the_samples():
    config = SampleConfig(temperature=0.8)
    listed = support.expressions(GRAMMAR)
    real = Real(PrefixTree(listed, T), GRAMMAR.log_probability(listed))
    path = trajectory(real, Setting("full", 0.25, config))
    limit = [np.exp(next(path)[0]) for _ in range(4)][-1]
    sizes, distances = [1_000, 4_000, 16_000, 64_000], []
    for n in sizes:
        apart = []
        for seed in range(8):
            rng = np.random.default_rng([n, seed])
            data = GRAMMAR.sample(n, rng)
            for _ in range(3):
                memory = Memoriser().learn(data, GRAMMAR, T)
                data = memory.sample(n - n // 4, rng, config) + GRAMMAR.sample(n // 4, rng)
            memory = Memoriser().learn(data, GRAMMAR, T)
            p = dict(zip(memory.tree.expressions, memory.distribution(config), strict=True))
            apart.append(sum(abs(p.get(e, 0) - q) for e, q in zip(listed, limit, strict=True)) / 2)
        distances.append(np.mean(apart))
    slope = np.polyfit(np.log(sizes), np.log(distances), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.08)
    assert distances[-1] < 0.06
