"""One cell and generation of a run, read back from its checkpoint, and its model asked again.

No part of the pipeline is needed, and no device like those of the run. On one like those, what is drawn with the run's
settings are the run's own samples.
"""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from logic.errors import UsageError
from logic.ids import unpad
from logic.language import Language
from logic.languages import language_of
from loop.cell import Cell
from loop.examples import Examples
from loop.remedies import guides, sampling_with
from loop.storage.reader import RunReader
from loop.storage.shards import open_run
from loop.streams import Purpose, generator, key
from model.config import ModelConfig, SampleConfig

if TYPE_CHECKING:
    from loop.storage.samples import Samples


@dataclasses.dataclass(frozen=True)
class LoadedGeneration:
    """M_t of one cell, what it was trained on, and how the run sampled it."""

    directory: RunReader
    cell: Cell
    generation: int
    language: Language  # of the real distribution R
    model: ModelConfig
    sample: SampleConfig  # how the run sampled
    num_samples: int  # that the run took
    num_held_out: int  # real expressions on which the run compared the model with R
    params: dict  # NumPy arrays, of the lowest validation loss: the ones that were sampled
    training_set: Examples  # D_t
    counters: dict[str, float]  # losses, steps and costs, under their names in metrics.csv
    held_out_nll: np.ndarray  # the run's own -log M(e) of the held-out expressions, float32_N

    @functools.cached_property
    def samples(self) -> "Samples":
        """S_t as the run drew it, with verdicts, in the order of writing; read at the first use."""
        return self.directory.read_samples(self.cell, self.generation)

    @functools.cached_property
    def row(self) -> dict[str, Any]:
        """The run's own measures; empty if the generation is not measured yet."""
        mine = (row for row in self.directory.rows() if Cell.of(row) == self.cell)
        return next((row for row in mine if row["generation"] == self.generation), {})

    @functools.cached_property
    def held_out(self) -> list[bytes]:
        """Draws from R that no model is trained on: those of the run."""
        return self.language.sample(self.num_held_out, generator(0, 0, Purpose.HELD_OUT))


def cells(directory: RunReader) -> list[Cell]:
    """The cells of a run that have finished a generation, in order. Raises UsageError if there are none."""
    directory.config()  # is it a run at all?
    found = dict.fromkeys(Cell.of(row) for row in directory.rows())
    if not found:
        raise UsageError(f"--workdir {directory.path}: no generation is finished yet")
    return list(found)


def load_generation(workdir: str | Path, cell: Cell | str, generation: int) -> LoadedGeneration:
    """Reads the checkpoint of a cell, given by its name or as a `Cell`, and generation; on any device.

    Raises:
      UsageError: there is no run, no such cell, or no checkpoint of that generation; it names those that are there.
    """
    directory = open_run(workdir)
    cell = _find(directory, cell)
    _check_generation(directory, cell, generation)
    config = directory.config()["config"]
    try:
        settings: dict[str, Any] = {
            "language": language_of(config["language"]),
            "model": ModelConfig(**config["model"]),
            "sample": sampling_with(cell.remedy, SampleConfig(**config["sample"])),
            "num_samples": config["loop"]["num_samples"],
            "num_held_out": config["loop"]["num_held_out"],
        }
    except (KeyError, TypeError) as error:
        raise UsageError(f"{directory.path}/config.json is of another version of this code: {error}") from error
    stored = directory.load(cell, generation)
    return LoadedGeneration(
        directory, cell, generation, **settings, **{f.name: getattr(stored, f.name) for f in dataclasses.fields(stored)}
    )


def _find(directory: RunReader, cell: Cell | str) -> Cell:
    name = cell if isinstance(cell, str) else cell.name
    by_name = {c.name: c for c in cells(directory)}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=1, cutoff=0)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"cell = {name}: {hint}{directory.path} has {', '.join(by_name)}")
    return by_name[name]


def _check_generation(directory: RunReader, cell: Cell, generation: int) -> None:
    there = directory.generations(cell)
    if generation in there:
        return
    if there == list(range(len(there))):
        has = f"{there[0]} to {there[-1]}" if there else "no checkpoint at all"
    else:
        has = ", ".join(map(str, there))
    rows = [row for row in directory.rows() if Cell.of(row) == cell]
    if any(row["generation"] == generation and "status" not in row for row in rows):
        raise UsageError(
            f"generation = {generation}: its checkpoint is gone; of {cell.name}, {directory.path} has {has}"
        )
    ended = [f"; it ended in generation {row['generation']}: {row['status']}" for row in rows if "status" in row]
    raise UsageError(f"generation = {generation}: of {cell.name}, {directory.path} has {has}{''.join(ended)}")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a model is sampled; None stands for what the run did."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    num_samples: int | None = None
    seed: int | None = None  # of the random stream, which the generation belongs to as well; 0 to 2**32 - 1

    def of(self, loaded: LoadedGeneration) -> "Sampling":
        """With the run's settings where there is None. Raises ValueError, naming field, value and what is allowed."""
        own: dict[str, Any] = {"num_samples": loaded.num_samples, "seed": loaded.cell.seed}
        own |= {name: getattr(loaded.sample, name) for name in ("temperature", "top_k", "top_p")}
        own |= {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        if own["num_samples"] < 1:
            raise ValueError(f"num_samples = {own['num_samples']}: allowed are integers from 1")
        if not 0 <= own["seed"] < 2**32:
            raise ValueError(f"seed = {own['seed']}: allowed are integers from 0 to 2**32 - 1")
        SampleConfig(own["temperature"], own["top_k"], own["top_p"])
        symbols = len(loaded.language.vocabulary)
        if own["top_k"] > symbols:
            raise ValueError(f"top_k = {own['top_k']}: allowed are 0 (all) to {symbols}")
        return Sampling(**own)


OWN = Sampling()


@functools.cache
def _sampler(model: ModelConfig, config: SampleConfig, num_samples: int) -> Callable:
    """The compiled (params, seed, generation) -> ids_NT: for one cell what the run does for all."""
    import jax

    from model.sampling import sampler

    sample = sampler(model, config, num_samples)
    return jax.jit(lambda params, seed, generation: sample(params, key(seed, generation, Purpose.SAMPLE)))


def resample(loaded: LoadedGeneration, how: Sampling = OWN) -> list[bytes]:
    """Draws new samples from a model; the run's own ones where `how` has the run's settings.

    Raises UsageError for a cell whose samples were guided by a second model: of a run, only the first is stored.
    """
    if guides(loaded.cell.remedy):
        raise UsageError(
            f"cell = {loaded.cell.name}: a copy of the model guided its samples and is not stored, so that no more can "
            "be drawn; allowed are likelihoods alone: --num_samples=0"
        )
    settings = dataclasses.asdict(how.of(loaded))
    seed, num_samples = np.uint32(settings.pop("seed")), settings.pop("num_samples")
    sample = _sampler(loaded.model, dataclasses.replace(loaded.sample, **settings), num_samples)
    return unpad(np.asarray(sample(loaded.params, seed, np.int32(loaded.generation))))


@functools.cache
def _nll(model: ModelConfig) -> Callable:
    import jax

    from model.likelihood import expression_nll

    return jax.jit(functools.partial(expression_nll, model))


def likelihood(loaded: LoadedGeneration, expressions: Sequence[bytes], cut: bool = False) -> np.ndarray:
    """-log M(e) of every expression in nats, float32_N, at temperature 1, the closing `<eos>` included.

    One as long as the context has no room for an `<eos>`. Raises ValueError for words outside the vocabulary, and for
    expressions longer than the context, unless they are to be `cut` there, as samples are.
    """
    from model.likelihood import lay_out_expressions

    longest = len(max(expressions, key=len, default=b""))
    if longest > loaded.model.context_length and not cut:
        raise ValueError(f"an expression has {longest} symbols: the model's context has {loaded.model.context_length}")
    if any(max(e, default=0) >= len(loaded.language.vocabulary) for e in expressions):
        raise ValueError("an expression has a word outside the vocabulary")
    if not expressions:
        return np.zeros(0, np.float32)
    return np.asarray(_nll(loaded.model)(loaded.params, *lay_out_expressions(expressions, loaded.model.context_length)))
