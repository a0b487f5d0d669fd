"""How tests have their programs compiled: most are compiled for longer than they run."""

import os

# Without what makes programs fast, XLA takes a third of the time to compile them.
CHEAP = " ".join(
    [
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_llvm_force_inline_before_split=false",
    ]
)


def compile_cheaply() -> None:
    """In this process and those that it starts; before JAX sees a device."""
    given = os.environ.get("XLA_FLAGS", "")
    if CHEAP not in given:  # workers of pytest-xdist have it from the process that starts them
        os.environ["XLA_FLAGS"] = f"{given} {CHEAP}".strip()


def as_users() -> dict[str, str]:
    """The environment of a process whose programs are compiled as its users' are."""
    return {**os.environ, "XLA_FLAGS": os.environ["XLA_FLAGS"].replace(CHEAP, "")}
