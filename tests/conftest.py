"""Two virtual devices, as a laptop of two cores has; no silent broadcasting; nothing is compiled twice."""

import tempfile

import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
_CACHE = tempfile.TemporaryDirectory(prefix="compilation-cache-")
jax.config.update("jax_compilation_cache_dir", _CACHE.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
