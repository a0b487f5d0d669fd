"""A plan for people: what launch/plan.py found, in words and units."""

from typing import Any

from launch.planning import devices
from loop.training.memory import FILLED


def text(p: dict[str, Any]) -> str:
    """The plan for people."""
    mesh, members, cell, device, took = (
        p[k] for k in ("mesh", "members", "memory_of_a_cell", "device", "seconds_per_generation")
    )
    train, sample, space = p["share_of_peak"]["train"], p["share_of_peak"]["sample"], p["disk"]
    fits = ""
    if not p["memory_of_a_device"]["fits"]:
        shards = p["memory_of_a_device"]["fits_in_shards"]
        remedy = (
            f"--shards={shards} does"
            if shards
            else "not a single cell does: let devices share it (--mesh), or lower sample.batch_size or the model's size"
        )
        fits = f": DOES NOT FIT into {FILLED:.0%} of it; {remedy}"
    groups_of = f" in {members['groups']} groups" if members["groups"] > 1 else ""
    side_by_side = f"{members['at_once']} at once{groups_of}" if members["at_once"] else "too many"
    batch = p["batch"]
    cut = f"in {batch['parts']} parts, {batch['windows_of_a_part']} at once on a device"
    cut = cut if batch["parts"] > 1 else "all at once"
    unused = f", {mesh['unused']} devices unused" if mesh["unused"] else ""
    bandwidth = f"; at most {devices.ASSUMED_BANDWIDTH_SHARE:.0%} of the memory's bandwidth, assumed"
    bandwidth = bandwidth if device["name"] != "cpu" else ""
    hidden = " (beside the devices)" if device["name"] != "cpu" else ""
    rows = {
        "sweep": f"{p['cells']:,} cells, {p['generations']} generations",
        "parameters": f"{p['parameters']:,} per model",
        "tokens": f"{_count(p['tokens'])} read in training",
        "operations": ", ".join(f"{_count(v)} {k}" for k, v in p["flops"].items()),
        "": "",
        "devices": f"{device['count']} x {device['name']}: {_count(device['peak_flops'])} operations/s, "
        f"{_bytes(device['memory'])} each ({device['source']})",
        "mesh": f"run {mesh['run']} x data {mesh['data']}{unused}",
        "cells on a device": f"{members['per_device']}, {side_by_side}; "
        f"memory for {members['most_at_once']} at once without others",
        "a batch": f"{batch['windows']} windows, {cut}",
        "memory of a device": f"{_bytes(p['memory_of_a_device']['needed'])} of {_bytes(device['memory'])}{fits}",
        "  state of a cell": f"{_bytes(cell['state'])}: parameters {_bytes(cell['params'])}, moments "
        f"{_bytes(cell['moments'])}, best {_bytes(cell['best'])}; training set {_bytes(cell['data'])}",
        "  while worked on": f"{_bytes(cell['working'])}, the largest of training (gradients "
        f"{_bytes(cell['gradients'])}, activations {_bytes(cell['activations'])}), sampling "
        f"{_bytes(cell['sampler'])}, judging {_bytes(cell['likelihood'])}",
        " ": "",
        "share of peak": f"training {train['value']:.0%}, {train['source']}",
        "  in sampling": f"{sample['value']:.0%}, {sample['source']}{bandwidth}",
        "a generation": f"{duration(took['total'])}: training {duration(took['train'])}, "
        f"sampling {duration(took['sample'])}, "
        f"measuring on {took['hosts']} x {took['host_cores']} cores {duration(took['host'])}{hidden}",
        "  chunk of steps": f"{duration(p['chunk']['seconds'])} for {p['chunk']['steps']:,} steps; a stop waits for it",
        "the sweep": f"{duration(p['seconds'])}, "
        f"{p['device_seconds'] / 3600:,.1f} device hours; compilation not counted",
        "  ": "",
        "disk": f"{_bytes(space['samples'] + space['checkpoints'] + space['state'])} at most",
        "  samples": _bytes(space["samples"]),
        "  checkpoints": f"{_bytes(space['checkpoints'])} with --keep={space['keep']}, "
        f"{_bytes(space['checkpoint'])} a generation",
        "  states": f"{_bytes(space['state'])} while it runs: within a generation",
        "host memory": f"{_bytes(p['host_memory'])} for parameters, on each host",
    }
    return "\n".join(f"{name:<20}{value}".rstrip() for name, value in rows.items())


def _count(value: float) -> str:
    """Three digits and a power of ten that is a multiple of three, in words."""
    for unit, size in (("Z", 1e21), ("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def _bytes(value: float) -> str:
    return f"{_count(value)}B" if value >= 1e3 else f"{value:.0f} B"


def duration(value: float) -> str:
    """Seconds in the unit that reads best."""
    if value >= 2 * 86_400:
        return f"{value / 86_400:,.3g} days"
    if value >= 2 * 3_600:
        return f"{value / 3_600:.3g} h"
    return f"{value / 60:.3g} min" if value >= 120 else f"{value:.3g} s"
