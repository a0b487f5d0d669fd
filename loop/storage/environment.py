"""What config.json says beside the configuration, and how two configurations differ."""

import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "rapidfuzz", "tensorflow-datasets")


def differing_fields(a: Any, b: Any, prefix: str = "") -> list[str]:
    """Names the leaves in which two nested dicts differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = list(dict.fromkeys([*a, *b]))
        return [line for k in keys for line in differing_fields(a.get(k), b.get(k), f"{prefix}.{k}" if prefix else k)]
    return [] if a == b else [f"{prefix} = {a} there, {b} here"]


def versions() -> dict[str, Any]:
    """The versions of the code and of the packages that decide results."""
    return {"code_version": code_version(), "packages": package_versions(_PACKAGES)}


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package; `missing` if it is not installed."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def code_version() -> str:
    """Of this code, as git describes it; `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
