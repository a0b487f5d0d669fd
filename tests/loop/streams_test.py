import itertools

import jax
import jax.numpy as jnp

from loop.streams import Purpose, generator, key

WHERE = list(itertools.product((0, 1, 2**32 - 1), (0, 1, 50), Purpose))


def test_streams_repeat_and_differ_in_seed_generation_and_purpose():
    host = [generator(*where).integers(2**63) for where in WHERE]
    assert host == [generator(*where).integers(2**63) for where in WHERE]
    assert len(set(host)) == len(WHERE)
    device = [tuple(jax.random.key_data(key(jnp.uint32(s), jnp.int32(g), p)).tolist()) for s, g, p in WHERE]
    assert len(set(device)) == len(WHERE)


def test_the_kind_of_keys_is_not_that_of_the_environment():
    expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(3, impl="threefry2x32"), 1), Purpose.INIT)
    with jax.default_prng_impl("rbg"):
        found = key(jnp.uint32(3), jnp.int32(1), Purpose.INIT)
        assert jax.random.key_impl(found) == jax.random.key_impl(expected)
        assert (jax.random.key_data(found) == jax.random.key_data(expected)).all()


def test_purposes_keep_their_numbers():
    assert [p.value for p in Purpose] == list(range(len(Purpose)))  # appended only, as every result depends on them
