"""What a sweep takes: operations, tokens, seconds, disk. Counted from the configuration; see docs/scaling.md.

Nothing is run. Samples are taken to be as long as real expressions, and training to take all its steps: a loop that
collapses, or stops early, takes less.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from launch.planning.devices import ASSUMED_BANDWIDTH_SHARE, Device, Share
from launch.planning.flops import forward_flops, train_flops
from logic import streams
from loop.config import Config
from loop.remedies import acting, guides, needing, remedies_of
from loop.remedies.remedy import SURPRISE, WRITTEN
from loop.training.memory import (
    CellBytes,
    bytes_per_cell,
    groups,
    num_params,
    num_to_edit,
    num_to_score,
    sampler_rows,
)

# Seconds of one core, measured on an AMD EPYC with samples of the paper's language: see docs/scaling.md.
HOST_SECONDS_PER_PAIR = 1 / 38e6  # edit distances of distinct expressions, on all cores
HOST_SECONDS_PER_SAMPLE = 22e-6  # verification and all other measures, on one core: one thread does it
STATES_ON_DISK = 5  # two of a generation are kept while the third is written, and two of the one before


@dataclasses.dataclass(frozen=True)
class Work:
    """Of one cell and generation, the mean over the cells where remedies take more of some."""

    train_tokens: int
    train_flops: float  # steps of copies that remedies train included
    evaluation_flops: float  # losses between the steps, held-out expressions, and what remedies score or edit
    sample_symbols: float
    sample_flops: float
    sample_bytes: (
        float  # that an accelerator's memory moves for it: parameters and cache, once for every symbol of a row
    )
    pairs: float  # of distinct expressions to be compared: samples and training set


def work(config: Config, accelerator: bool) -> Work:
    """What one cell's generation takes, training to the last step; remedies included (`of_remedies`)."""
    model, train, loop = config.model, config.train, config.loop
    batch = train.batch_size * model.context_length
    evaluations = -(-train.max_steps // train.eval_interval)
    evaluated = evaluations * 2 * train.eval_batches * batch + loop.num_held_out * model.context_length

    length = config.language.length_distribution()
    T = model.context_length
    read = np.minimum(np.arange(len(length)) + 1, T)  # symbols that the model reads to write a sample: `<eos>` first
    through = np.cumsum([forward_flops(model, attended) for attended in range(1, T + 1)])
    more = of_remedies(config)
    symbols = loop.num_samples * float(length @ read)

    rows = sampler_rows(config, accelerator)
    scalar = 2 if model.dtype == "bfloat16" else 4
    cache = 2 * model.num_layers * rows * T * model.width * scalar
    return Work(
        train_tokens=train.max_steps * batch,
        train_flops=(train.max_steps + more.steps) * batch * train_flops(model),
        evaluation_flops=(evaluated + more.judged * T) * forward_flops(model),
        sample_symbols=symbols * (1 + more.samplings),
        sample_flops=loop.num_samples * float(length @ through[read - 1]) * (1 + more.samplings),
        sample_bytes=symbols * (1 + more.samplings) / rows * (num_params(model) * scalar + cache),
        pairs=sum(_pairs(config, n) for n in (loop.num_samples, loop.num_examples)),
    )


class OfRemedies(NamedTuple):
    """What remedies take besides, of one cell and generation: means over the networks."""

    steps: float  # of copies, on batches like the training's
    samplings: float  # so many times as much as writing the samples once
    judged: float  # expressions that are read once, whole contexts long


def of_remedies(config: Config) -> OfRemedies:
    """What loop/remedies says, counted.

    A copy learns from as many samples as the loop takes, and if it guides, two models write those of the loop. Every
    cell that needs scores takes as long as the one with the longest memory: shapes are shared.
    """
    steps = samplings = judged = 0.0
    cells = config.networks()
    for cell in cells:
        chain = remedies_of(cell.remedy)
        copies = acting(chain, "combine")
        steps += sum(copy.steps for copy in copies)
        samplings += len(copies) + guides(cell.remedy)
        if needing(chain, SURPRISE, WRITTEN):
            passes = 1 + any(needing(remedies_of(c.remedy), WRITTEN) for c in cells)
            passes += 2 * (guides(cell.remedy) and bool(needing(chain, WRITTEN)))
            judged += passes * num_to_score(config)
        judged += num_to_edit(config) if acting(chain, "edit") else 0
    return OfRemedies(*(x / max(len(cells), 1) for x in (steps, samplings, judged)))


def _pairs(config: Config, n: int) -> float:
    """Pairs of distinct expressions among n draws from the real distribution."""
    some = min(n, 20_000)
    distinct = len(set(config.language.sample(some, streams.estimate()))) * n / some
    return distinct * (distinct - 1) / 2


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Of one generation of the whole sweep; compilation, once, is not in it."""

    train: float  # evaluations included
    sample: float
    host: float  # verification and measures
    overlapped: bool  # whether the host works beside the devices, which takes an accelerator

    @property
    def total(self) -> float:
        """From one generation to the next."""
        devices = self.train + self.sample
        return max(devices, self.host) if self.overlapped else devices + self.host


def seconds(
    config: Config,
    cells: int,
    device: Device,
    mesh: tuple[int, int],
    at_once: int,
    shares: dict[str, Share],
    host_cores: int,
    hosts: int = 1,
) -> Seconds:
    """One generation (but the first, in which cells of equal seed are computed once).

    Args:
      cells: of the ensemble.
      mesh: devices along `run` and `data`.
      at_once: cells that a device takes side by side.
      shares: of the device's peak, in `train` and `sample`.
      host_cores: that measure, of one host; on a CPU the devices.
      hosts: each measures an equal part of the cells.
    """
    run, data = mesh
    todo = work(config, device.accelerator)
    count, together = groups(-(-cells // run), at_once)
    rows, peak = count * together, device.peak(config.model.dtype)
    train = rows * (todo.train_flops + todo.evaluation_flops) / data / (peak * shares["train"].value)
    sample = todo.sample_flops / (peak * shares["sample"].value)
    if device.accelerator:  # a symbol at a time: memory, not arithmetic, sets the pace
        sample = max(sample, todo.sample_bytes / (device.bandwidth * ASSUMED_BANDWIDTH_SHARE))
    serial = config.loop.num_samples * HOST_SECONDS_PER_SAMPLE
    host = -(-cells // hosts) * (serial + todo.pairs * HOST_SECONDS_PER_PAIR / host_cores)
    return Seconds(train, rows * sample / data, host, device.accelerator)


@dataclasses.dataclass(frozen=True)
class Disk:
    """Bytes at most, of the whole sweep; orbax compresses parameters by about a tenth."""

    samples: int  # of all generations
    checkpoint: int  # of one generation, parameters and training sets as they are in the last
    checkpoints: int  # that stay
    state: int  # within a generation, while a run works


def disk(config: Config, keep: str, settings: int = 1) -> Disk:
    """Of so many settings, what `--keep=all`, `last` or `every:K` leaves, and what a run needs besides."""
    from loop.storage.checkpoints import NEWEST

    cells, loop = config.cells(), config.loop
    longest = config.model.context_length  # one sample that does not end makes all rows of a block as long
    samples = len(cells) * loop.generations * loop.num_samples * (longest + 16)
    length = config.language.length_distribution()
    example = float(length @ np.arange(len(length))) + 1 + 13  # symbols, `<eos>`, provenance
    examples = sum(config.train_size(cell.cycle, loop.generations - 1) for cell in cells)
    params = 4 * num_params(config.model)
    checkpoint = len(config.networks()) * (params + 4 * loop.num_held_out) + round(examples * example)
    kept = {0, *range(loop.generations)[-NEWEST:]}
    if keep == "all":
        kept = set(range(loop.generations))
    elif keep.startswith("every:"):
        kept |= set(range(0, loop.generations, int(keep.removeprefix("every:"))))
    state = STATES_ON_DISK * len(cells) * 4 * params
    return Disk(*(settings * size for size in (samples, checkpoint, len(kept) * checkpoint, state)))


def host_memory(config: Config, cells: int, hosts: int) -> int:
    """Bytes on one host for its cells' parameters of three generations: one is being written, the next one brought, and
    that of generation 0 judges what later ones write."""
    return 3 * -(-cells // hosts) * 4 * num_params(config.model)


def cell_bytes(config: Config, device: Device, data: int, parts: int = 1) -> CellBytes:
    """Device memory of one cell, whose batches are cut into parts."""
    return bytes_per_cell(config, data, device.accelerator, parts)
