"""Weak scaling: cells per second against the number of devices, with equally many cells on each.

    python -m launch.benchmarks.scaling --devices=1,2,4,8 --cells_per_device=2

Virtual CPU devices, as many as asked for, each number in a process of its own. A measurement is `Ensemble.train_chunk`
on all cells. Prints one JSON object per number of devices; `cells_per_second` counts cells that take `steps` steps and
an evaluation. Virtual devices beyond the cores cannot be faster, but `cpu_seconds_per_cell`, the time that the cores
worked, shows what more devices cost.
"""

import concurrent.futures
import json
import multiprocessing
import statistics
import time
from typing import Any

from absl import flags

from launch import cli
from launch.benchmarks.sizes import SIZES, Size
from launch.resources import available_cores
from logic.errors import UsageError

_DEVICES = flags.DEFINE_list("devices", "1,2,4,8", "numbers of devices")
_CELLS = flags.DEFINE_integer("cells_per_device", 2, "cells on every device", lower_bound=1)
_SIZE = flags.DEFINE_enum("size", "tiny", list(SIZES), "of the model")
_STEPS = flags.DEFINE_integer("steps", 20, "training steps of a measurement", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "measurements; their median counts", lower_bound=1)


def measure(devices: int, cells_per_device: int, size: Size, steps: int, repeats: int) -> dict[str, Any]:
    """Trains cells on so many devices; to be called in a fresh process, where CPU devices can still be chosen."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    from launch.benchmarks.ensemble import Members
    from logic.boolean.language import Boolean
    from loop.config import Config, LoopConfig, SweepConfig, TrainConfig

    config = Config(
        language=Boolean(1, 2),
        model=size.model(),
        train=TrainConfig(batch_size=size.batch_size, max_steps=2**30, eval_interval=steps, eval_batches=1),
        loop=LoopConfig(num_examples=2, num_samples=2, num_held_out=1),
        sweep=SweepConfig(cycles=("fresh",), fresh_ratios=(1.0,), seeds=(0,)),
    )
    cells = devices * cells_per_device
    running = Members(config, size, cells, "auto")
    running.chunk()  # compiles
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        running.chunk()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu)
    return {
        "devices": devices,
        "device": jax.devices()[0].device_kind,
        "cores": available_cores(),
        "cells": cells,
        "size": size.name,
        "steps": steps,
        "cells_per_second": cells / statistics.median(seconds),
        "cells_per_second_min": cells / max(seconds),
        "cells_per_second_max": cells / min(seconds),
        "cpu_seconds_per_cell": statistics.median(cpu_seconds) / cells,
    }


def main(argv: list[str]) -> None:
    """Measures every number of devices, one after another."""
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    for text in _DEVICES.value:
        if not text.isdecimal() or int(text) < 1:
            raise UsageError(f"--devices={text}: allowed are integers from 1")
    size = SIZES[_SIZE.value]
    first = None
    for devices in map(int, _DEVICES.value):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, context) as fresh:
            row = fresh.submit(measure, devices, _CELLS.value, size, _STEPS.value, _REPEATS.value).result()
        first = first or row
        row["ratio_to_first"] = row["cells_per_second"] / first["cells_per_second"]
        row["cpu_ratio_to_first"] = row["cpu_seconds_per_cell"] / first["cpu_seconds_per_cell"]
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    cli.run(main)
