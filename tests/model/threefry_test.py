import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry2x32_p

from model.threefry import threefry


# Of the authors' library Random123: two words of key, two of counter, two of result.
@pytest.mark.parametrize(
    ("key", "counter", "result"),
    [
        ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_published_values(key, counter, result):
    words = [jnp.full(3, word, jnp.uint32) for word in (*key, *counter)]
    for ours, word in zip(jax.jit(threefry)(*words), result, strict=True):
        np.testing.assert_array_equal(ours, np.full(3, word, np.uint32))


def test_it_is_the_hash_of_jax():
    words = np.random.default_rng(0).integers(0, 2**32, (4, 1_000), dtype=np.uint32)
    for ours, theirs in zip(jax.jit(threefry)(*words), threefry2x32_p.bind(*words), strict=True):
        np.testing.assert_array_equal(ours, theirs)
