import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from model.config import SampleConfig
from model.guidance import Guided, guided
from model.likelihood import expression_nll, lay_out_expressions
from model.models import model_of
from model.sampling import sampler
from tests.model.transformer_test import TINY, random_params, read

PAIR = guided(model_of(TINY))


def pair(weight: float, config=TINY) -> Guided:
    return Guided(random_params(config, 0), random_params(config, 1), jnp.float32(weight))


@pytest.mark.slow
def test_logits_go_away_from_the_copys():
    params = pair(1.5)
    ids_BT = np.random.default_rng(0).integers(0, 8, (3, 12))
    model, copy = (np.asarray(read(TINY, p, ids_BT), np.float64) for p in (params.model, params.copy))
    expected = 2.5 * model - 1.5 * copy
    together = jax.jit(PAIR.forward, static_argnums=0)(TINY, params, ids_BT)
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_without_weight_a_pair_writes_what_the_model_writes():
    how = SampleConfig(temperature=1.0, batch_size=8)
    alone = jax.jit(sampler(TINY, how, 40))(random_params(TINY, 0), jax.random.key(3))
    for weight, same in ((0.0, True), (2.0, False)):
        ids = jax.jit(sampler(TINY, how, 40, net=PAIR))(pair(weight), jax.random.key(3))
        assert np.array_equal(ids, alone) == same


@pytest.mark.slow
def test_what_is_written_has_the_distribution_of_the_pair():
    """Rows begin anew while others go on: both caches have to follow."""
    short = dataclasses.replace(TINY, context_length=2)
    params = pair(1.0, short)
    everything = [bytes(e) for e in [(), *((a,) for a in range(1, 8)), *np.ndindex(8, 8)] if 0 not in e]
    ids, length = lay_out_expressions(everything, 2)
    p = np.exp(-np.asarray(expression_nll(short, params, ids, length, net=PAIR), np.float64))
    assert p.sum() == pytest.approx(1, abs=1e-4)
    drawn = jax.jit(sampler(short, SampleConfig(temperature=1.0, batch_size=64), 20_000, net=PAIR))(
        params, jax.random.key(0)
    )
    place = {e: i for i, e in enumerate(everything)}
    observed = np.bincount([place[bytes(row).split(b"\0")[0]] for row in np.asarray(drawn)], minlength=len(everything))
    often = p * 20_000 > 5
    together = [np.append(x[often], x[~often].sum()) for x in (observed, p / p.sum() * 20_000)]
    assert scipy.stats.chisquare(*together).pvalue > 1e-3
