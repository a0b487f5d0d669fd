"""What a remedy is: something that is tried against the collapse, at one of the places of a generation.

A remedy is a frozen dataclass; its fields are its parameters, and what it can do says at which place it acts:

    select      which samples go into the incoming block, and how often        `Selects`
    weigh       the weight of each example in the loss                         `Weighs`
    loss        the weight of each symbol in the loss, from its probability    `Reshapes`
    combine     the trained model with a copy of itself                        `Combines`
    sample      how the next symbol is chosen                                  `Samples`
    edit        the fresh real examples of the incoming block                  `Edits`

What a remedy needs besides is said in `needs`. Remedies are pure: they see what is passed to them and a random
generator, never the configuration.

Axes: N samples, M of them chosen, B batch, T symbols.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

from logic.language import Language, Verdicts
from loop.examples import Examples, concatenate

if TYPE_CHECKING:
    import jax

NETWORK = "network"  # the learner has to be the network
VERDICTS = "verdicts"  # the language has to have verdicts
REAL = "log_probability"  # the language has to know the probability of a sample under R
DEPTH = "depth"  # the language has to know the distribution of depths under R
SURPRISE = "surprise"  # `Pool.nats`: how surprising the newest model finds each sample, so a network as well
WRITTEN = "written"  # `Pool.written_nats`: how probable it was that the newest model wrote it
FIRST_DATA = "first_data"  # `Pool.real`: real examples to compare with
NEEDS = (NETWORK, VERDICTS, REAL, DEPTH, SURPRISE, WRITTEN, FIRST_DATA)

PARAMETERS, LOGITS = "parameters", "logits"  # what `Combines` extrapolates

FILLS = ("repeat", "others", "end")


class TooFewError(Exception):
    """A selection has left too few samples, and is not to fill up. The message is the status of the cell."""


@dataclasses.dataclass(frozen=True)
class Pool:
    """What is there to choose from: samples of the newest generation, and of earlier ones if a remedy asks for them."""

    samples: Examples
    verdicts: Verdicts  # bool_N each
    nats: np.ndarray  # float_N: -log M_t(e) at temperature 1, M_t being the newest model; empty if nobody needs it
    written_nats: np.ndarray  # float_N: likewise, of what it samples from (temperature, top-k, top-p)
    language: Language
    context_length: int  # of the model: a sample of so many symbols was cut, and has no `<eos>`
    real: Sequence[bytes] = ()  # D_0, all real; empty if nobody needs it

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, rows: np.ndarray) -> "Pool":
        """What is at `rows`, int_M, in that order; a row may come several times."""
        return dataclasses.replace(
            self,
            samples=self.samples.take(rows),
            verdicts={name: verdict[rows] for name, verdict in self.verdicts.items()},
            nats=self.nats[rows] if len(self.nats) else self.nats,
            written_nats=self.written_nats[rows] if len(self.written_nats) else self.written_nats,
        )

    @staticmethod
    def union(pools: Sequence["Pool"]) -> "Pool":
        """All of them, one after another."""
        return dataclasses.replace(
            pools[0],
            samples=concatenate([pool.samples for pool in pools]),
            verdicts={name: np.concatenate([p.verdicts[name] for p in pools]) for name in pools[0].verdicts},
            nats=np.concatenate([pool.nats for pool in pools]),
            written_nats=np.concatenate([pool.written_nats for pool in pools]),
        )


class Remedy(Protocol):
    """What all remedies have: they may need something of the language or the learner."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Of NEEDS; a constant of the class will do."""
        ...


@runtime_checkable
class Selects(Protocol):
    """Chooses what goes into the incoming block."""

    fill: str  # of FILLS: what happens if fewer are chosen than the block takes; see `settle`

    def select(self, pool: Pool, wanted: int, rng: np.random.Generator) -> np.ndarray:
        """Rows of the pool, int_M, a row as often as it is taken.

        More than `wanted`: so many of them are drawn, without replacement. Fewer: `fill` says what happens.
        """
        ...


@runtime_checkable
class Weighs(Protocol):
    """Weighs the examples of a training set."""

    def weights(self, train: Examples) -> np.ndarray:
        """Weight of each example in the loss, float_N; their mean is 1."""
        ...


@runtime_checkable
class Reshapes(Protocol):
    """Changes the loss of a symbol by what probability the model gives it."""

    gamma: float  # the parameter: an array over the runs of a sweep, so that all of them are one program

    @staticmethod
    def symbol_weight(p_BT: "jax.Array", gamma: "jax.Array") -> "jax.Array":
        """What the nats of each symbol are multiplied by, float32_BT, before the mean over all of them."""
        ...


@runtime_checkable
class Combines(Protocol):
    """Goes away from what a copy of the trained model becomes by learning from the model's own samples.

    The copy takes so many steps of Adam at that learning rate. Then θ + weight (θ - θ_copy), likewise of the parameters
    or of the logits, writes the samples.
    """

    combines: ClassVar[str]  # PARAMETERS or LOGITS
    weight: float
    steps: int
    learning_rate: float


@runtime_checkable
class Samples(Protocol):
    """Changes how the next symbol is chosen, while the model writes its samples."""

    temperature: float  # instead of sample.temperature; above 0
    top_p: float  # instead of sample.top_p


@runtime_checkable
class Edits(Protocol):
    """Draws symbols of the fresh real examples anew, from the newest model."""

    threshold: float  # those whose probability exceeds it
    top_k: int  # from so many most probable symbols


PLACES: Mapping[str, type] = {
    "select": Selects,
    "weigh": Weighs,
    "loss": Reshapes,
    "combine": Combines,
    "sample": Samples,
    "edit": Edits,
}


def settle(pool: Pool, rows: np.ndarray, wanted: int, fill: str, rng: np.random.Generator) -> np.ndarray:
    """Exactly `wanted` of the chosen rows: some at random if there are more, filled up if there are fewer.

    `repeat` takes the chosen again and again, each equally often up to one; `others` adds some that were not chosen, at
    random; `end` adds none. Raises TooFewError where that is not enough.
    """
    if len(rows) >= wanted:
        return rows if len(rows) == wanted else rng.choice(rows, wanted, replace=False)
    if fill == "repeat" and len(rows):
        times, rest = divmod(wanted, len(rows))
        return np.concatenate([*[rows] * times, rng.choice(rows, rest, replace=False)])
    others = np.setdiff1d(np.arange(len(pool)), rows)
    if fill == "others" and len(rows) + len(others) >= wanted:
        return np.concatenate([rows, rng.choice(others, wanted - len(rows), replace=False)])
    raise TooFewError(f"{len(rows)} samples are selected, the block takes {wanted}")


def check_fill(fill: str) -> None:
    """Raises ValueError for anything else than FILLS."""
    if fill not in FILLS:
        raise ValueError(f"fill = {fill}: allowed are {', '.join(FILLS)}")
