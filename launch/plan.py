"""Says what a sweep will take, before it runs: parameters, operations, memory, hours, disk, and the mesh of devices.

    python -m launch.plan --config=launch/presets/paper.py                                        on this machine
    python -m launch.plan --config=launch/presets/paper.py --device=h200 --num_devices=8 --config.model.dtype=bfloat16

Beside every speed stands whether it was measured, assumed, or given by --efficiency. Nothing is run, but a matrix
product of a second where the plan is for this machine's CPU. docs/scaling.md tells what is counted, and how well it
agrees with what happens.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from launch import cli
from launch.configuration import resolve, settings
from launch.planning import devices
from launch.planning.as_text import duration, text
from launch.planning.estimates import cell_bytes, disk, host_memory, seconds, work
from logic.errors import UsageError, usage_errors
from loop.cell import split
from loop.config import Config
from loop.numbers import in_groups, representative
from loop.storage.checkpoints import check_keep
from loop.training.memory import (
    FILLED,
    bytes_on_device,
    check_members,
    groups,
    members_that_fit,
    num_params,
    settings_that_fit,
)
from loop.training.micro_batch import parts_of_batch


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a plan is for."""

    device: devices.Device
    num_devices: int
    efficiency: float | None  # given by the user
    members: str = "auto"
    mesh: str = "auto"
    keep: str = "all"
    hosts: int = 1
    host_cores: int = 16  # of one host


def mesh_of(cells: int, machine: Machine, config: Config) -> tuple[int, int]:
    """(run, data), as the ensemble would lay out so many cells. Raises ValueError for a mesh that is not possible."""
    from loop.training.mesh import parse_mesh  # imports JAX

    return parse_mesh(machine.mesh, cells, machine.num_devices, config.train.batch_size)


def batch_parts(machine: Machine, config: Config, cells: int, data: int) -> int:
    """Parts of a batch, one after another, on a device that has `cells`."""
    device = machine.device
    return parts_of_batch(config, data, device.accelerator, device.memory, cells)


def at_once(machine: Machine, config: Config, cells: int, data: int, parts: int) -> int:
    """Cells that a device takes side by side, of the `cells` that it has; 0 if not even one fits."""
    device, members = machine.device, machine.members
    if members == "auto" and device.accelerator:
        return members_that_fit(config, int(device.memory), cells, data, parts=parts)
    if members == "vmap":
        return cells
    return min(1 if members in ("auto", "map") else int(members), cells)


def shards_that_fit(machine: Machine, config: Config, settings: int = 1) -> int | None:
    """The least number of equal shards of all cells that fit one at a time, of so many settings side by side; None if
    a single cell does not."""
    cells = len(config.all_cells())
    least = {settings * -(-cells // shards): shards for shards in range(cells, 0, -1)}  # of shards of such a size
    for part in sorted(least, reverse=True):
        run, data = mesh_of(part, machine, config)
        per_device = -(-part // run)
        parts = batch_parts(machine, config, per_device, data)
        cell = cell_bytes(config, machine.device, data, parts)
        together = at_once(machine, config, per_device, data, parts)
        if together and bytes_on_device(cell, per_device, together) <= FILLED * machine.device.memory:
            return least[part]
    return None


def side_by_side(settings: Mapping[str, Config], machine: Machine) -> list[dict[str, Config]]:
    """The settings in groups, as launch.main runs them: those of one group together."""
    device = machine.device

    def fitting(configs: Sequence[Config]) -> int:
        config = representative(configs)
        mesh = functools.partial(mesh_of, machine=machine, config=config)
        host = math.inf if device.accelerator else None  # accelerators' hosts are not in the table
        return settings_that_fit(config, device.memory, host, mesh, machine.members, len(configs))

    return in_groups(settings, fitting)


def plan(config: Config, machine: Machine, settings: int = 1) -> dict[str, Any]:
    """The plan of so many settings side by side: numbers in bytes, seconds and operations, under the names of the JSON
    output."""
    device, cells = machine.device, settings * len(config.networks())
    mesh = run, data = mesh_of(cells, machine, config)
    per_device = -(-cells // run)
    parts = batch_parts(machine, config, per_device, data)
    cell, todo = cell_bytes(config, device, data, parts), work(config, device.accelerator)
    together = at_once(machine, config, per_device, data, parts)
    shares = {
        suite: devices.share_of_peak(device, suite, config.model, machine.efficiency) for suite in ("train", "sample")
    }
    host_cores = machine.host_cores if device.accelerator else max(1, machine.num_devices // machine.hosts)
    needed = bytes_on_device(cell, per_device, together or 1)
    took = seconds(config, cells, device, mesh, together or 1, shares, host_cores, machine.hosts)
    generations = config.loop.generations
    space = disk(config, machine.keep, settings)
    steps = min(config.train.eval_interval, config.train.max_steps)
    part = config.train.batch_size // (data * parts)  # on a device
    return {
        "cells": cells,
        "generations": generations,
        "parameters": num_params(config.model),
        "tokens": cells * generations * todo.train_tokens,
        "flops": {
            "train": cells * generations * todo.train_flops,
            "evaluation": cells * generations * todo.evaluation_flops,
            "sample": cells * generations * todo.sample_flops,
        },
        "device": {
            "name": device.name,
            "count": machine.num_devices,
            "peak_flops": device.peak(config.model.dtype),
            "memory": device.memory,
            "source": device.source,
        },
        "mesh": {"run": run, "data": data, "unused": machine.num_devices - run * data},
        "members": {
            "per_device": per_device,
            "at_once": together,
            "groups": groups(per_device, together or 1)[0],
            # Side by side in memory, if a device had no other cells.
            "most_at_once": members_that_fit(config, int(device.memory), None, data, device.accelerator, parts),
        },
        "batch": {"windows": config.train.batch_size, "parts": parts, "windows_of_a_part": part},
        "memory_of_a_cell": {**dataclasses.asdict(cell), "state": cell.state, "working": cell.working},
        "memory_of_a_device": {
            "needed": needed,
            "fits": needed <= FILLED * device.memory and together > 0,
            "fits_in_shards": shards_that_fit(machine, config, settings),
        },
        "share_of_peak": {suite: dataclasses.asdict(share) for suite, share in shares.items()},
        "seconds_per_generation": {
            "train": took.train,
            "sample": took.sample,
            "host": took.host,
            "hosts": machine.hosts,
            "host_cores": host_cores,
            "total": took.total,
        },
        # A stop waits for its end: the steps between two evaluations, of all groups of cells.
        "chunk": {"steps": steps, "seconds": took.train / -(-config.train.max_steps // config.train.eval_interval)},
        "seconds": generations * took.total,
        "device_seconds": generations * took.total * machine.num_devices,
        "disk": {**dataclasses.asdict(space), "keep": machine.keep},
        "host_memory": host_memory(config, cells, machine.hosts),
    }


def of_largest_shard(config: Config, count: int) -> Config:
    """The configuration of the largest of so many shards. Raises ValueError if there are fewer cells."""
    if count == 1:
        return config
    if count > len(config.cells()):
        raise ValueError(f"--shards={count}: allowed are at most {len(config.cells())}, the number of cells")
    sizes = [len(part) for part in split(config.cells(), count)]
    shard = (sizes.index(max(sizes)), count)
    return dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, shard=shard))


def main(argv: list[str]) -> None:
    """Prints the plan of what the flags describe, once for all settings that run side by side."""
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    if flags.FLAGS.config is None:
        raise UsageError("--config is missing: name a preset, such as --config=launch/presets/paper.py")
    if not 0 <= flags.FLAGS.efficiency <= 1:
        raise UsageError(
            f"--efficiency={flags.FLAGS.efficiency}: allowed are shares above 0 and up to 1; 0: no share given"
        )
    with usage_errors():
        check_members(flags.FLAGS.members)
        check_keep(flags.FLAGS.keep)
    if flags.FLAGS.device:
        devices.named(flags.FLAGS.device)
    with usage_errors():
        resolve(flags.FLAGS.config)
        configs = settings(flags.FLAGS.config)
    device, count = (devices.named(flags.FLAGS.device), 1) if flags.FLAGS.device else devices.present()
    machine = Machine(
        device,
        flags.FLAGS.num_devices or count,
        flags.FLAGS.efficiency or None,
        flags.FLAGS.members,
        flags.FLAGS.mesh,
        flags.FLAGS.keep,
        flags.FLAGS.hosts,
        flags.FLAGS.host_cores,
    )
    if not any(config.networks() for config in configs.values()):
        raise UsageError("sweep.learners has no network: there is nothing to plan, reference learners run on the host")
    with usage_errors():
        largest = {label: of_largest_shard(config, flags.FLAGS.shards) for label, config in configs.items()}
        together = side_by_side(largest, machine)
        plans = [plan(representative(list(group.values())), machine, len(group)) for group in together]
    for group, p in zip(together, plans, strict=True):
        labels = [label for label in group if label]
        if flags.FLAGS.json:
            print(json.dumps({**({"settings": labels} if labels else {}), **p}))
        else:
            print("\n".join(["", *labels, ""]) if labels else "", end="")
            print(text(p))
    if not flags.FLAGS.json and (flags.FLAGS.shards > 1 or len(plans) > 1):
        total = flags.FLAGS.shards * sum(p["seconds"] for p in plans)
        settings_of = f"{len(configs)} settings in " if len(configs) > 1 else ""
        print(f"\nall: {settings_of}{flags.FLAGS.shards} shards, one after another: {duration(total)}")


def _define_flags() -> None:
    config_flags.DEFINE_config_file("config", None, "the preset: a Python file with get_config()")
    flags.DEFINE_string(
        "device", "", f"what it would run on: {', '.join(devices.DEVICES)}; empty: what this machine has"
    )
    flags.DEFINE_integer("num_devices", 0, "how many of them; 0: one, or all that are here", lower_bound=0)
    flags.DEFINE_float(
        "efficiency",
        0.0,
        "share of the peak that training and sampling reach; 0: measured, or else assumed",
        lower_bound=0,
    )
    flags.DEFINE_string(
        "members", "auto", "how a device takes its cells: map (one by one), vmap (all at once), or so many at once"
    )
    flags.DEFINE_string("mesh", "auto", "devices along run and data: auto, or RUNxDATA such as 4x2")
    flags.DEFINE_string("keep", "all", "checkpoints of past generations: all, last, or every:K")
    flags.DEFINE_integer("hosts", 1, "machines that these are spread over; each measures its cells", lower_bound=1)
    flags.DEFINE_integer(
        "host_cores", 16, "cores of a host that measure beside accelerators (on a CPU: the devices)", lower_bound=1
    )
    flags.DEFINE_integer(
        "shards",
        1,
        "plan one of so many shards of the cells, which run one after another: launch.main --shard",
        lower_bound=1,
    )
    flags.DEFINE_boolean(
        "json", False, "print JSON instead of text, an object a group of settings, in bytes and seconds"
    )


if __name__ == "__main__":
    _define_flags()  # here: other commands have flags of the same names
    cli.run(main)
