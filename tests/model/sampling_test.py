import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import model.models
import model.sampling
from model.config import LEAST, SampleConfig
from model.sampling import choose, filter_logits, sampler
from model.transformer import forward
from tests.model.transformer_test import TINY, VARIANTS, random_params, read


def draw(config, transformer=TINY, n=64, seed=0, params=None):
    params = random_params(transformer) if params is None else params
    return np.asarray(jax.jit(sampler(transformer, config, n))(params, jax.random.key(seed)))


@pytest.mark.slow
@pytest.mark.parametrize("transformer", VARIANTS)
@pytest.mark.parametrize("seed", range(3))
def test_greedy_equals_top_1_of_the_full_forward_pass(transformer, seed):
    params = random_params(transformer, seed)
    written = draw(SampleConfig(temperature=0), transformer, n=1, params=params)[0]
    full = jax.jit(lambda ids: forward(transformer, params, ids))
    ids = [0]
    while len(ids) <= 12 and (len(ids) == 1 or ids[-1] != 0):
        padded = np.array([ids + [0] * (12 - len(ids))])  # causality: what follows does not matter
        ids.append(int(np.argmax(full(padded)[0, len(ids) - 1])))
    expected = np.zeros(12, int)
    expected[: len(ids) - 1] = ids[1:]
    np.testing.assert_array_equal(written, expected)


@pytest.mark.slow
def test_nothing_follows_the_end():
    ids_NT = draw(SampleConfig(temperature=1.0), n=200)
    ended_NT = np.cumsum(ids_NT == 0, axis=1) > 0
    assert not ids_NT[ended_NT].any()
    assert 0 < ended_NT[:, -1].mean() < 1  # both kinds occur: ended, and cut at the context


@pytest.mark.slow
def test_first_symbol_has_the_models_distribution():
    params = random_params(TINY)
    logits_V = read(TINY, params, np.zeros((1, 1), int))[0, 0]
    p_V = np.asarray(jax.nn.softmax(logits_V / 0.7), np.float64)
    first = draw(SampleConfig(temperature=0.7, batch_size=512), n=20_000, params=params)[:, 0]
    observed = np.bincount(first, minlength=8)
    assert scipy.stats.chisquare(observed, p_V / p_V.sum() * 20_000).pvalue > 1e-3


@pytest.mark.slow
def test_samples_differ_and_repeat_with_the_key():
    config = SampleConfig(temperature=1.0, batch_size=16)
    a, b, c = (draw(config, n=40, seed=s) for s in (0, 0, 1))
    assert a.shape == (40, 12)
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert (a[:16] != a[16:32]).any()


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 5, 33])
def test_a_sample_depends_neither_on_the_batch_nor_on_the_number(n):
    whole = draw(SampleConfig(temperature=1.0, batch_size=7), n=40)
    np.testing.assert_array_equal(draw(SampleConfig(temperature=1.0, batch_size=4), n=n), whole[:n])


@pytest.mark.slow
@pytest.mark.parametrize("short", [1, 3, 11])
def test_a_short_cache_first_changes_nothing(short, monkeypatch):
    config = SampleConfig(temperature=1.0, batch_size=8)
    whole = draw(config, n=50)
    assert (np.count_nonzero(whole, axis=1) > 11).any()
    monkeypatch.setattr(model.sampling, "SHORT", short)
    monkeypatch.setattr(model.sampling, "FEW", 3)
    np.testing.assert_array_equal(draw(config, n=50), whole)


@pytest.mark.slow
def test_several_models_at_once_write_what_each_does_alone():
    """Some are through before others; and each step stores its keys and values by one cheap update of the cache."""
    several = [random_params(TINY, seed) for seed in range(3)]
    several[1] = jax.tree.map(lambda x: 4 * x, several[1])
    config, keys = SampleConfig(batch_size=4), jax.random.split(jax.random.key(3), 3)
    together = jax.vmap(sampler(TINY, config, 30, axis="model"), axis_name="model")
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *several)
    alone = jax.jit(sampler(TINY, config, 30))
    program = jax.jit(together).lower(stacked, keys).compile()
    for ids, params, key in zip(np.asarray(program(stacked, keys)), several, keys, strict=True):
        np.testing.assert_array_equal(ids, alone(params, key))
    cache = r"= f32\[3,4,2,12,8\]\{[\d,]*\} "
    assert not re.search(cache + r"(select|scatter)\(", program.as_text() or "")
    assert re.search(cache + r"dynamic-update-slice\(", program.as_text() or "")


@pytest.mark.slow
def test_rows_never_idle_while_samples_wait():
    """One row writes all samples, one after the other, in as many steps as there are symbols to write."""
    config, n = SampleConfig(temperature=1.0), 30
    written = draw(config, n=n)
    steps = 0

    def count(*_):
        nonlocal steps
        steps += 1

    def counted(*args):
        jax.debug.callback(count)
        return real(*args)

    transformer = model.models.MODELS["transformer"]
    real = transformer.forward_cached
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(model.models.MODELS, "transformer", transformer._replace(forward_cached=counted))
        draw(dataclasses.replace(config, batch_size=1), n=n)
        jax.effects_barrier()
    lengths = np.count_nonzero(written, axis=1)
    assert steps == np.minimum(lengths + 1, 12).sum()


@pytest.mark.slow
def test_top_k_of_one_is_greedy():
    np.testing.assert_array_equal(
        draw(SampleConfig(temperature=1.0, top_k=1)), draw(SampleConfig(temperature=0), seed=7)
    )


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"top_k": 3}, {"top_p": 0.9}, {"top_p": LEAST}])
def test_the_lowest_temperature_and_mass_are_greedy(more):
    greedy = draw(SampleConfig(temperature=0))
    np.testing.assert_array_equal(draw(SampleConfig(temperature=LEAST, **more)), greedy)
    assert greedy.any()  # or else the empty samples of logits that are no numbers would pass


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": t} for t in (-1.0, 1e-31, 1e-45, 1e31, float("inf"), float("nan"))]
    + [{"top_p": p} for p in (0.0, 1e-45, 1.5, float("nan"))],
)
def test_what_32_bits_cannot_hold_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"sample\.{name} = {re.escape(str(value))}: allowed are"):
        SampleConfig(**wrong)


@pytest.mark.parametrize("top_p", [0.05, 0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("top_k", [0, 1, 3, 8])
def test_filters_keep_what_the_definition_keeps(top_p, top_k):
    logits_BV = np.random.default_rng(0).normal(size=(50, 8)) * 2
    kept = np.isfinite(filter_logits(jnp.array(logits_BV), SampleConfig(temperature=0.8, top_k=top_k, top_p=top_p)))
    for logits_V, kept_V in zip(logits_BV, kept, strict=True):
        order = np.argsort(-logits_V)[: top_k or 8]
        p = np.exp(logits_V[order] / 0.8)
        p /= p.sum()
        nucleus = int(np.searchsorted(np.cumsum(p), top_p)) + 1
        np.testing.assert_array_equal(np.sort(order[:nucleus]), np.flatnonzero(kept_V))


def test_low_temperature_sharpens():
    logits_BV = jnp.tile(jnp.array([[0.0, 1.0, 0, 0, 0, 0, 0, 0]]), (4_000, 1))
    keys = jax.random.split(jax.random.key(0), 4_000)
    shares = [float(np.mean(choose(keys, logits_BV, SampleConfig(temperature=t)) == 1)) for t in (2.0, 0.5, 0.1)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > 0.99
