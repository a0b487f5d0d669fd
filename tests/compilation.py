"""How tests have their programs compiled: most are compiled for longer than they run."""

import importlib.metadata
import os

# Without what makes programs fast, XLA takes half of the time to compile them. Newer versions of XLA end a process that
# names one of these flags.
_KNOWN = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11)
_FLAGS = (
    "xla_cpu_use_fusion_emitters=false",
    "xla_llvm_force_inline_before_split=false",
    "xla_backend_optimization_level=1",
)
CHEAP = " ".join(f"--{flag}" for flag in _FLAGS) if _KNOWN else ""
PLAIN = "JAX_DISABLE_MOST_OPTIMIZATIONS"
# The partitioner that JAX is leaving behind lays out a program that no devices share in the same way, and sooner.
SHARDY = "JAX_USE_SHARDY_PARTITIONER"


def cheaply() -> dict[str, str]:
    """The variables with which a process and those that it starts compile so; they are read when JAX is imported."""
    given = os.environ.get("XLA_FLAGS", "")
    if CHEAP not in given:  # workers of pytest-xdist have it from the process that starts them
        given = f"{given} {CHEAP}".strip()
    return {PLAIN: "1", SHARDY: "0", "XLA_FLAGS": given}


def as_users() -> dict[str, str]:
    """The variables with which a process compiles its programs as its users do."""
    return {PLAIN: "0", SHARDY: "1", "XLA_FLAGS": os.environ["XLA_FLAGS"].replace(CHEAP, "")}
