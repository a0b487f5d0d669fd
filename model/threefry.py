"""JAX's random numbers, hashed on a CPU without the loop in which JAX does it there.

That loop, of five steps, saves the compiler's time, but each step writes all numbers to memory.
"""

import jax
import numpy as np
from jax.extend.random import threefry2x32_p

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def threefry(key_1: jax.Array, key_2: jax.Array, x_1: jax.Array, x_2: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011) of uint32."""
    if jax.default_backend() != "cpu":
        one, other = threefry2x32_p.bind(key_1, key_2, x_1, x_2)
        return one, other
    keys = (key_1, key_2, key_1 ^ key_2 ^ _PARITY)
    x_1, x_2 = x_1 + keys[0], x_2 + keys[1]
    for i in range(5):
        for distance in _ROTATIONS[i % 2]:
            x_1 = x_1 + x_2
            x_2 = x_1 ^ (x_2 << np.uint32(distance) | x_2 >> np.uint32(32 - distance))
        x_1, x_2 = x_1 + keys[(i + 1) % 3], x_2 + keys[(i + 2) % 3] + np.uint32(i + 1)
    return x_1, x_2
