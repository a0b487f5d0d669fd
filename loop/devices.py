"""The devices that JAX finds, or one line that says why there are none."""

import os

import jax

from logic.errors import UsageError


def find() -> list[jax.Device]:
    """All devices. Raises UsageError if the platform that was asked for is not here."""
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS")
        what = f"JAX_PLATFORMS={asked}" if asked else "JAX"
        why = str(error).split(" (set JAX_PLATFORMS", 1)[0] or "there is no such platform, or it has no devices"
        raise UsageError(f"{what} finds no devices: {why}") from error
