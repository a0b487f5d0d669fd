"""`--shard=I/N`: one of N processes, each of which runs some of a sweep's cells without any connection to the others.

The cells are divided by `loop.cell.split`, in the same way in every setting of `sweep.axes`. A shard is a run like
any other, in WORKDIR/shard_000I_of_000N; the files above it are those of the whole sweep (loop/storage/shards.py).
"""

import dataclasses
import re
from collections.abc import Mapping

from launch.facts import facts
from logic.errors import UsageError
from loop.cell import split
from loop.config import Config
from loop.storage.run_directory import RunDirectory
from loop.storage.shards import Layout, ShardedRun, open_run, read_layout, shard_name


def parse_shard(text: str, config: Config) -> tuple[int, int]:
    """`3/8` as (3, 8). Raises UsageError unless 0 <= I < N <= the number of cells."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    cells = len(config.all_cells())
    if found is None or not int(found[1]) < int(found[2]) <= cells:
        raise UsageError(f"--shard = {text}: allowed are I/N with 0 <= I < N <= {cells}, the number of cells")
    return int(found[1]), int(found[2])


def of_shard(config: Config, shard: tuple[int, int]) -> Config:
    """The configuration of one shard."""
    return dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, shard=shard))


def enter(
    whole: RunDirectory,
    config: Config,
    settings: Mapping[str, Config],
    shard: tuple[int, int],
    devices: str,
) -> RunDirectory:
    """Makes the directories of the whole run, or checks that it is there in as many shards; returns the shard's."""
    for name, setting in {"": config, **settings}.items():
        _create(RunDirectory(whole.path / name), setting, devices, _layout(setting, shard[1], name))
    return RunDirectory(whole.path / shard_name(*shard))


def _create(directory: RunDirectory, config: Config, devices: str, layout: Layout) -> None:
    """Makes the directory of a whole run in shards, or returns if it holds that. All shards may do so at once.

    Raises:
      UsageError: it holds another run, one in other shards or in one go, or something else, or it cannot be written.
    """
    held, where = read_layout(directory.path), f"--workdir {directory.path}"
    if held is not None and len(held.shards) != len(layout.shards):  # before a run is extended that this is no shard of
        raise UsageError(f"{where} holds a run in {len(held.shards)} shards, not {len(layout.shards)}")
    directory.create(dataclasses.asdict(config), devices, facts(config))
    if held is None:
        if directory.log.exists() or (directory.path / "metrics.jsonl").exists():
            raise UsageError(f"{where} holds a run that is not in shards: go on without --shard")
        layout.write(directory.path)
    elif held != layout:
        raise UsageError(f"{where} holds a run whose cells were divided by another version of this code")


def refuse_sharded(whole: RunDirectory) -> None:
    """Raises UsageError if the directory holds a run in shards, which a process without `--shard` is not to write."""
    layout = read_layout(whole.path)
    if layout is not None:
        n = len(layout.shards)
        raise UsageError(f"--workdir {whole.path} holds a run in {n} shards: give --shard=I/{n}, with I below {n}")


def _layout(config: Config, count: int, setting: str) -> Layout:
    owner = {cell: i for i, cells in enumerate(split(config.all_cells(), count)) for cell in cells}
    names = (shard_name(i, count) for i in range(count))
    shards = tuple(f"../{name}/{setting}" if setting else name for name in names)
    return Layout(shards, {cell.name: owner[cell] for cell in config.all_cells()})


def unfinished(whole: RunDirectory) -> dict[int, str]:
    """The shards that are not at their end, with how far they are."""
    run = open_run(whole.path)
    return run.unfinished() if isinstance(run, ShardedRun) else {}
