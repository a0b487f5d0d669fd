"""Suite `axes`: eight temperatures as an axis of one sweep, and as eight runs, one after another.

Both are `loop.run` itself, from an empty directory to the last row, compilation included (of programs that the cache of
compiled programs does not have). Cell-generations per second.
"""

import dataclasses
import functools
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from eval.measures.generation import measure_generation
from launch.benchmarks.case import Contender, Row, compare
from launch.benchmarks.generation import configuration
from launch.benchmarks.sizes import Options, Size
from loop.config import Config
from loop.run import run, run_side_by_side
from loop.storage.run_directory import RunDirectory

_CELLS = (1, 2, 4)  # of every setting
_PART = 5  # of a whole generation's examples and steps: what is compared is how they share the cores


def side_by_side(settings: Mapping[str, Config]) -> float:
    """Seconds of all settings as one program."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        directories = {name: _directory(folder, name) for name in settings}
        start = time.perf_counter()
        run_side_by_side(settings, directories, measure_generation)
        return time.perf_counter() - start


def one_after_another(settings: Mapping[str, Config]) -> float:
    """Seconds of all settings, each with its own program."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        directories = {name: _directory(folder, name) for name in settings}
        start = time.perf_counter()
        for name, config in settings.items():
            run(config, directories[name], measure_generation)
        return time.perf_counter() - start


def _directory(folder: str, name: str) -> RunDirectory:
    directory = RunDirectory(Path(folder) / name)
    directory.create({}, "benchmark")
    return directory


def suite(size: Size, options: Options) -> Iterator[Row]:
    """One case for every number of cells."""
    for cells in (options.cells,) if options.cells else _CELLS:
        part = dataclasses.replace(
            size,
            generation_steps=-(-size.generation_steps // _PART),
            generation_examples=-(-size.generation_examples // _PART),
        )
        config = configuration(part, dataclasses.replace(options, cells=cells))
        settings = {
            f"temperature={t}": dataclasses.replace(config, sample=dataclasses.replace(config.sample, temperature=t))
            for t in np.linspace(0.6, 1.3, options.temperatures).round(3).tolist()
        }
        amount = len(settings) * cells * config.loop.generations
        yield compare(
            "axes",
            f"{cells} cells a setting" if cells > 1 else "one cell a setting",
            size.name,
            "generations/s",
            Contender(functools.partial(side_by_side, settings), amount),
            "one run after another",
            functools.partial(Contender, functools.partial(one_after_another, settings), amount),
            options.repeats,
            settings=len(settings),
            cells=cells,
            steps=config.train.max_steps,
        )
