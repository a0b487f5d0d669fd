"""`--shard=I/N`: one of N processes, each of which runs some of a sweep's cells and knows nothing of the others.

The cells are divided by `loop.shards.split`, in the same way in every setting of `sweep.axes`. A shard is a run like
any other, in WORKDIR/shard_000I_of_000N; the files above it are those of the whole sweep (loop/storage/shards.py).
"""

import dataclasses
import re
from collections.abc import Mapping

from eval.measures.registry import columns
from logic.boolean.language import Boolean
from logic.errors import UsageError
from loop.config import Config
from loop.shards import split
from loop.storage.run_directory import RunDirectory
from loop.storage.shards import Layout, ShardedRun, create_sharded, open_run, read_layout, shard_name


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
    whole: RunDirectory, config: Config, settings: Mapping[str, Config], shard: tuple[int, int], devices: str
) -> RunDirectory:
    """Makes the directories of the whole run, or checks that it is there in as many shards; returns the shard's."""
    for name, setting in {"": config, **settings}.items():
        layout, language = _layout(setting, shard[1], name), Boolean(**dataclasses.asdict(setting.language))
        create_sharded(whole.path / name, dataclasses.asdict(setting), devices, layout, columns(language))
    return RunDirectory(whole.path / shard_name(*shard))


def refuse_sharded(whole: RunDirectory) -> None:
    """Raises UsageError if the directory holds a run in shards, which a process without `--shard` is not to write."""
    layout = read_layout(whole.path)
    if layout is not None:
        n = len(layout.shards)
        raise UsageError(f"--workdir {whole.path} holds a run in {n} shards: give --shard=I/{n}, with I below {n}")


def _layout(config: Config, count: int, label: str) -> Layout:
    owner = {cell: i for i, cells in enumerate(split(config.all_cells(), count)) for cell in cells}
    names = (shard_name(i, count) for i in range(count))
    shards = tuple(f"../{name}/{label}" if label else name for name in names)
    return Layout(shards, {cell.name: owner[cell] for cell in config.all_cells()})


def unfinished(whole: RunDirectory) -> dict[int, str]:
    """The shards that are not at their end, with how far they are."""
    run = open_run(whole.path)
    return run.unfinished() if isinstance(run, ShardedRun) else {}
