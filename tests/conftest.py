"""Two virtual devices, as a laptop of two cores has; no silent broadcasting; nothing is compiled twice in a session.

One persistent cache of compiled programs serves all workers of pytest-xdist and all commands that tests start: they
inherit the environment. It lasts for the session, so that no result depends on an earlier one. A cache that
JAX_COMPILATION_CACHE_DIR names is used instead, and stays.
"""

import os
import tempfile

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # in the process that starts the workers
    _cache = tempfile.TemporaryDirectory(prefix="compilation-cache-", ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
