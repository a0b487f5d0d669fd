"""What devices can do: peak speed, memory and bandwidth by their makers, and the share of it that was measured here."""

import dataclasses
import os

from logic.errors import UsageError
from model.config import ModelConfig

ASSUMED_SHARE = 0.4  # of the peak in training and sampling, where nothing is measured
ASSUMED_BANDWIDTH_SHARE = 0.5  # of the memory's bandwidth while sampling, likewise


@dataclasses.dataclass(frozen=True)
class Device:
    """One device as JAX counts them: a GPU, a TPU chip, or a core of a CPU."""

    name: str
    kinds: tuple[str, ...]  # what JAX calls it (`device_kind`) begins with one of these
    bfloat16: float  # operations per second of dense matrix products, by the maker
    float32: float  # likewise at JAX's default precision: TF32 on GPUs, bfloat16 products on TPUs
    memory: float  # bytes
    bandwidth: float  # bytes per second
    source: str

    @property
    def accelerator(self) -> bool:
        """Whether it is no CPU."""
        return self.name != "cpu"

    def peak(self, dtype: str) -> float:
        """Operations per second in the activations' type."""
        return self.bfloat16 if dtype == "bfloat16" else self.float32


_NVIDIA, _GOOGLE = "NVIDIA's data sheet, without sparsity", "Google Cloud's TPU documentation, per chip"


def _gpu(name: str, kind: str, tera: float, tf32: float, gigabytes: float, bandwidth: float) -> Device:
    return Device(name, (kind,), tera * 1e12, tf32 * 1e12, gigabytes * 1e9, bandwidth * 1e9, _NVIDIA)


def _tpu(name: str, kinds: tuple[str, ...], tera: float, gigabytes: float, bandwidth: float) -> Device:
    return Device(name, kinds, tera * 1e12, tera * 1e12, gigabytes * 1e9, bandwidth * 1e9, _GOOGLE)


DEVICES = {
    device.name: device
    for device in (
        _gpu("h200", "NVIDIA H200", 989, 494, 141, 4_800),
        _gpu("h100", "NVIDIA H100 80GB HBM3", 989, 494, 80, 3_350),  # SXM
        _gpu("a100-80", "NVIDIA A100-SXM4-80GB", 312, 156, 80, 2_039),
        _gpu("a100-40", "NVIDIA A100-SXM4-40GB", 312, 156, 40, 1_555),
        _gpu("l40s", "NVIDIA L40S", 362, 183, 48, 864),
        _gpu("a10", "NVIDIA A10", 125, 62.5, 24, 600),
        _tpu("tpu-v4", ("TPU v4",), 275, 32, 1_200),
        _tpu("tpu-v5e", ("TPU v5 lite", "TPU v5e"), 197, 16, 819),
        _tpu("tpu-v5p", ("TPU v5p", "TPU v5"), 459, 95, 2_765),
        _tpu("tpu-v6e", ("TPU v6 lite", "TPU v6e"), 918, 32, 1_640),
        # A matrix product of 1,536 x 1,536 per second of a core's own time, on the machine of docs/performance.md.
        # A plan for the cores that are there measures them anew. Nothing uses a CPU's bandwidth.
        Device("cpu", ("cpu",), 1.0e11, 1.0e11, 4e9, 1e10, "a matrix product on one core of an AMD EPYC, measured"),
    )
}


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of a device's peak, and where it is from."""

    value: float
    source: str  # begins with `measured`, `assumed` or `given`


# The column `share_of_peak` of launch.benchmark, means of the rows against peers in docs/performance.md, one core of an
# AMD EPYC: {device: {suite: {width: share}}}.
MEASURED: dict[str, dict[str, dict[int, float]]] = {
    "cpu": {"train": {64: 0.62, 128: 0.85, 384: 0.88}, "sample": {64: 0.39, 128: 0.40}},
}


def share_of_peak(device: Device, suite: str, model: ModelConfig, given: float | None = None) -> Share:
    """What part of the peak a suite of the benchmark reaches, as measured at the nearest width, or assumed."""
    if given is not None:
        return Share(given, "given")
    measured = MEASURED.get(device.name, {}).get(suite)
    if not measured:
        return Share(ASSUMED_SHARE, f"assumed: nothing is measured on {device.name} yet")
    nearest = min(measured, key=lambda width: max(width, model.width) / min(width, model.width))
    if nearest == model.width:
        return Share(measured[nearest], f"measured with launch.benchmark at width {nearest}")
    return Share(measured[nearest], f"assumed to be that measured at width {nearest}")


def named(name: str) -> Device:
    """A device of the table. Raises UsageError, naming what is allowed."""
    if name not in DEVICES:
        raise UsageError(f"--device={name}: allowed are {', '.join(DEVICES)}")
    return DEVICES[name]


def of_kind(kind: str) -> Device:
    """The device that JAX calls `kind`. Raises UsageError for one that is not in the table."""
    found = [(len(k), d.name) for d in DEVICES.values() for k in d.kinds if kind == k or kind.startswith(k + " ")]
    if not found:
        raise UsageError(f"{kind} is not in the table: name the nearest by --device, one of {', '.join(DEVICES)}")
    return DEVICES[max(found)[1]]


def present() -> tuple[Device, int]:
    """The devices of this machine and their number; a CPU's cores count each, and are measured now."""
    import jax

    from launch.benchmarks.machine import matmul_flops
    from launch.resources import available_cores

    first = jax.devices()[0]
    if first.platform != "cpu":
        device = of_kind(first.device_kind)
        limit = (first.memory_stats() or {}).get("bytes_limit", device.memory)
        return dataclasses.replace(device, memory=float(limit)), jax.device_count()
    cores = available_cores()
    peak = matmul_flops("float32") / cores  # one product takes all cores
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / cores
    source = f"a matrix product, measured now: {cores} cores together, an equal part each"
    return dataclasses.replace(DEVICES["cpu"], bfloat16=peak, float32=peak, memory=memory, source=source), cores
