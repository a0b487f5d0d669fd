"""The settings of JAX that results depend on are those of this project, whatever the environment says.

Another default precision or another kind of random keys would be another experiment under the same name; and some
checks of JAX stop at what is right here, such as the infinite logits of excluded symbols.
"""

from collections.abc import Callable
from typing import Any

import jax

_SETTINGS: dict[str, Any] = {
    "jax_enable_x64": False,  # all shapes and precisions are chosen for 32 bits
    "jax_numpy_dtype_promotion": "standard",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_debug_nans": False,  # a cell whose loss is not finite ends with a status, and its neighbours go on
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_disable_jit": False,
}


def settle(say: Callable[[str], None]) -> None:
    """Sets them, and says in one line which the environment had otherwise. Kinds of keys: loop/streams.py."""
    changed = []
    for name, value in _SETTINGS.items():
        there = getattr(jax.config, name)
        if getattr(there, "value", there) != value:
            changed.append(name.upper())
            jax.config.update(name, value)
    if changed:
        say(f"{', '.join(changed)}: not used, since results depend on it")
