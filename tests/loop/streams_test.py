import itertools

import jax
import jax.numpy as jnp
import numpy as np

from logic import streams
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


def test_no_two_streams_of_the_project_are_equal():
    """What runs draw, and what commands, data sets, measures and plans draw besides."""
    found: dict[tuple, np.random.Generator] = {("loop", *where): generator(*where) for where in WHERE}
    for seed, block in itertools.product((0, 1, 2311, 2**32 - 1, 2**32, 2**32 + 1), (0, 1, 5, 100, 16822)):
        found["generate", seed, block] = streams.generate(seed, block)
    found |= {("data_set", split): streams.data_set(split) for split in range(3)}
    found |= {("rare",): streams.rare(), ("estimate",): streams.estimate()}
    draws = {name: tuple(rng.integers(2**63, size=2).tolist()) for name, rng in found.items()}
    assert len(set(draws.values())) == len(draws) > 140


def test_purposes_leave_room_for_the_tags_of_other_streams():
    assert max(Purpose) < 100


def test_purposes_keep_their_numbers():
    assert [p.value for p in Purpose] == list(range(len(Purpose)))  # appended only, as every result depends on them
