"""The checkpoints of generations: what one holds of a cell, and which of them are kept.

checkpoints/GENERATION/CELL/     orbax: parameters, training set with provenance, counters, held-out likelihoods
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from logic.language import EOS
from loop.cell import Cell
from loop.examples import Examples
from loop.storage.checksums import Sealed
from loop.storage.orbax_io import Writer, read_tree

# The one of generation 0 stays as well: its models judge what later ones write.
NEWEST = 2  # checkpoints that are never pruned: should one be damaged, the loop goes on from the other


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds of one cell and generation."""

    params: dict  # of the lowest validation loss: the ones that were sampled; empty for a learner without any
    training_set: Examples  # D_t
    counters: dict[str, float]  # losses, steps and costs, under their names in metrics.csv
    # -log M_t(e) in nats on the held-out real expressions, float32: all that measuring needs of a device; empty where
    # the learner cannot write all of them
    held_out_nll: np.ndarray


@dataclasses.dataclass
class Checkpoints:
    """All checkpoints of a run. `seals` is where their checksums lie."""

    directory: Path
    seals: Path
    writer: Writer = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer.of(self.directory)

    def sealed(self, generation: int) -> Sealed:
        """The files of one checkpoint."""
        return Sealed(self.directory / str(generation), self.seals / f"checkpoints_{generation:04d}.json")

    def complete(self) -> list[int]:
        """The generations that have a complete checkpoint, in order."""
        return [t for t in self._begun() if self.sealed(t).exists()]

    def _begun(self) -> list[int]:
        """The generations of which there is a directory or a manifest."""
        names = [p.name for folder in (self.directory, self.seals) if folder.is_dir() for p in folder.iterdir()]
        found = [re.fullmatch(r"(\d+)|checkpoints_(\d+)\.json", name) for name in names]
        return sorted({int(match[1] or match[2]) for match in found if match})

    def save(self, generation: int, cells: Mapping[Cell, Checkpoint]) -> None:
        """Begins to write a checkpoint; `writer.wait` returns once it is complete."""
        self.writer.begin(self.sealed(generation), {cell.name: _to_arrays(g) for cell, g in cells.items()})

    def load(self, cell: Cell, generation: int) -> Checkpoint:
        """Reads one cell. Raises KeyError if it is not there, Damaged if its files are not as they were written."""
        sealed = self.sealed(generation)
        if not sealed.exists() or not sealed.holds(cell.name):
            raise KeyError(f"{self.directory} has no complete checkpoint of {cell.name}, generation {generation}")
        return _from_arrays(read_tree(sealed, cell.name))

    def remove_from(self, generation: int) -> None:
        """Removes this one and all after it, complete or not."""
        self.writer.wait()
        for t in self._begun():
            if t >= generation:
                self.sealed(t).remove()

    def prune(self, keep: str) -> None:
        """Removes old ones; see RunDirectory.prune."""
        every = check_keep(keep)
        if keep == "all":
            return
        newest = self.complete()[-NEWEST:]
        for t in self._begun():
            if newest and 0 < t < newest[0] and not (every and t % every == 0):
                self.sealed(t).remove()


def check_keep(keep: str) -> int:
    """K of `every:K`, 0 of `all` and `last`. Raises ValueError for anything else."""
    every = re.fullmatch(r"every:0*([1-9]\d*)", keep)
    if keep not in ("all", "last") and not every:
        raise ValueError(f"keep = {keep}: allowed are all, last, and every:K with an integer K from 1")
    return int(every[1]) if every else 0


def _to_arrays(generation: Checkpoint) -> dict[str, Any]:
    """The tree that is stored."""
    tree: dict[str, Any] = {
        "params": generation.params,
        "training_set": examples_to_arrays(generation.training_set),
        "counters": {name: np.array(value) for name, value in generation.counters.items()},
        "held_out_nll": generation.held_out_nll,
    }
    return {name: part for name, part in tree.items() if len(part)}  # orbax stores nothing that is empty


def _from_arrays(tree: dict[str, Any]) -> Checkpoint:
    """The generation of a stored tree."""
    return Checkpoint(
        params=tree.get("params", {}),
        training_set=examples_from_arrays(tree["training_set"]),
        counters={name: value.item() for name, value in tree.get("counters", {}).items()},
        held_out_nll=tree.get("held_out_nll", np.zeros(0, np.float32)),
    )


def examples_to_arrays(examples: Examples) -> dict[str, np.ndarray]:
    """Examples with their provenance as arrays."""
    return {
        "symbols": np.frombuffer(b"".join(e + bytes([EOS]) for e in examples.expressions), np.uint8),
        "source": examples.source,
        "generation": examples.generation,
        "index": examples.index,
        "root": examples.root,
    }


def examples_from_arrays(arrays: dict[str, np.ndarray]) -> Examples:
    """The examples of such arrays."""
    expressions = arrays["symbols"].tobytes().split(bytes([EOS]))[:-1]
    return Examples(expressions, arrays["source"], arrays["generation"], arrays["index"], arrays["root"])
