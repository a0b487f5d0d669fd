import types

import numpy as np
import pytest

from logic.boolean.fitted import fit
from logic.boolean.grammar import Grammar
from logic.boolean.verifier import verify
from loop.learners.grammar import GrammarFit
from loop.learners.prefix_tree import PrefixTree
from model.config import SampleConfig

GRAMMAR = Grammar(1, 2)
LANGUAGE = types.SimpleNamespace(fit=lambda samples: fit(samples, verify(samples, GRAMMAR).in_support))


def test_sharpens_every_conditional():
    """Against the prefix tree of everything that it can write."""
    from logic.boolean import support

    examples = GRAMMAR.sample(300, np.random.default_rng(0))
    model = GrammarFit().learn(examples, LANGUAGE, 16)
    config, n = SampleConfig(temperature=0.6, top_p=0.95), 20_000
    listed = support.expressions(GRAMMAR)
    p = np.exp(PrefixTree(listed, 16).sharpen(model.log_likelihood(listed), config))
    samples = model.sample(n, np.random.default_rng(1), config)
    place = {e: i for i, e in enumerate(listed)}
    shares = np.bincount([place[e] for e in samples], minlength=len(listed)) / n
    assert not shares[p == 0].any()
    error = np.sqrt(p * (1 - p) / n)
    assert np.all(np.abs(shares - p) <= 5 * error + 1 / n)


def test_writes_what_is_true_and_counts_what_it_left_out():
    examples = [*GRAMMAR.sample(400, np.random.default_rng(0)), b"", b"\1\2", b"\6"]
    model = GrammarFit().learn(examples, LANGUAGE, 16)
    assert model.left_out == 3
    samples = model.sample(2_000, np.random.default_rng(0), SampleConfig(temperature=1.0))
    assert verify(samples, GRAMMAR).in_support.all()
    assert len(set(samples)) > len(set(examples)) * 0.9
    assert np.isneginf(model.log_likelihood([b"", b"\6"])).all()
    with pytest.raises(ValueError, match="none of the 2"):
        GrammarFit().learn([b"", b"\6"], LANGUAGE, 16)


def test_greedy_is_one_sample():
    model = GrammarFit().learn(GRAMMAR.sample(400, np.random.default_rng(0)), LANGUAGE, 16)
    assert len(set(model.sample(20, np.random.default_rng(0), SampleConfig(temperature=0)))) == 1
