"""The machine a measurement was made on, the share of it that is used, and the speed of its matrix products."""

import datetime
import os
import platform
import time
from pathlib import Path
from typing import Any

from launch.resources import available_cores
from loop.storage.environment import code_version, package_versions

_PACKAGES = ("jax", "jaxlib", "flax", "numpy", "rapidfuzz", "sympy", "torch", "transformers", "Levenshtein")


def use_cores(cores: int) -> None:
    """Keeps this process to its first `cores` cores. To be called before JAX or PyTorch are imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def describe(dtype: str) -> dict[str, Any]:
    """What a reader of the figures has to know: machine, versions, date, commit."""
    import jax

    device = jax.devices()[0]
    return {
        "header": "launch.benchmark",
        "cpu": _cpu_model(),
        "cores": available_cores(),
        "device": device.device_kind,
        "platform": jax.default_backend(),
        "num_devices": 1 if device.platform == "cpu" else jax.device_count(),
        "dtype": dtype,
        "python": platform.python_version(),
        "versions": package_versions(_PACKAGES),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "git": code_version(),
    }


def matmul_flops(dtype: str) -> float:
    """Operations per second of a square matrix product on one device: the best of five tries."""
    import jax

    n, products = (1_536, 2) if jax.default_backend() == "cpu" else (8_192, 50)

    @jax.jit
    def chain(a: jax.Array, b: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, products, lambda _, x: (x @ b).astype(a.dtype), a)

    # An orthogonal-like scale keeps the powers of b finite.
    a, b = (jax.random.normal(jax.random.key(i), (n, n), dtype) * n**-0.5 for i in range(2))
    chain(a, b).block_until_ready()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        chain(a, b).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return products * 2 * n**3 / best


def peak_memory() -> int | None:
    """Largest number of bytes in use so far on the first device; None where it does not say."""
    import jax

    stats = jax.devices()[0].memory_stats()
    return stats.get("peak_bytes_in_use") if stats else None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
