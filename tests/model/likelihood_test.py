import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.likelihood import expression_nll, in_batches, lay_out_expressions
from model.transformer import forward
from tests.model.transformer_test import TINY, VARIANTS, random_params


def nll(config, params, expressions):
    ids, lengths = lay_out_expressions(expressions, config.context_length)
    return np.asarray(jax.jit(lambda p: expression_nll(config, p, ids, lengths))(params))


@pytest.mark.slow
@pytest.mark.parametrize("config", VARIANTS)
def test_likelihood_is_the_chain_of_next_symbols(config, monkeypatch):
    monkeypatch.setattr("model.likelihood.CPU_SYMBOLS", 4 * config.context_length)  # the last rows are padding
    monkeypatch.setattr("model.likelihood.FEWEST", 3)
    params = random_params(config)
    rng = np.random.default_rng(0)
    expressions = [rng.integers(1, 8, n).astype(np.uint8).tobytes() for n in (0, 1, 5, 11, 12, 15)]
    step = jax.jit(lambda ids: jax.nn.log_softmax(forward(config, params, ids)))
    for e, value in zip(expressions, nll(config, params, expressions), strict=True):
        symbols = [*e, 0][:12]  # one that fills the context is cut there, without an end
        read = np.zeros((1, 12), int)
        read[0, 1 : len(symbols)] = symbols[:-1]
        log_p = np.asarray(step(read))[0]
        assert value == pytest.approx(-sum(log_p[i, s] for i, s in enumerate(symbols)), rel=1e-4)


def test_probabilities_of_all_sequences_sum_to_one():
    config = dataclasses.replace(TINY, context_length=4)
    params = random_params(config)
    everything = [bytes(e) for n in range(5) for e in itertools.product(range(1, 8), repeat=n)]
    assert np.exp(-nll(config, params, everything).astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


def test_expressions_are_read_among_those_of_their_length(monkeypatch):
    monkeypatch.setattr("model.likelihood.FEWEST", 3)
    monkeypatch.setattr("model.likelihood.CPU_SYMBOLS", 24)
    lengths = np.random.default_rng(0).integers(0, 13, 40)
    ids, length = lay_out_expressions([b"x" * n for n in lengths], TINY.context_length)
    seen = jax.jit(lambda: in_batches(TINY, lambda ids, _: jnp.full_like(ids[:, 1:], ids.shape[1] - 1), ids, length))()
    for row, n in zip(np.asarray(seen), lengths.tolist(), strict=True):
        places = next(p for p in (3, 6, 12) if p >= min(n + 1, 12))  # the closing symbol is read if there is room
        assert row.tolist() == [places] * places + [0] * (12 - places)
