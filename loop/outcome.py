"""What one cell's generation ends with, and how every process learns it."""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from logic.language import Verdicts
from loop.blocks import Scores, Written
from loop.cell import Cell
from loop.examples import Examples
from loop.storage.checkpoints import Checkpoint, examples_from_arrays, examples_to_arrays
from loop.storage.curve_files import no_curve
from loop.training import multihost


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one cell's generation ends with."""

    trained: Checkpoint
    samples: Examples  # S_t; empty if training failed
    verdicts: Verdicts  # on S_t
    status: str | None = None  # why the cell ends here
    # of the training, float64 [evaluations, 4]: loop/storage/curve_files.py
    curve: np.ndarray = dataclasses.field(default_factory=no_curve)
    scores: Scores = dataclasses.field(default_factory=dict)  # of S_t and earlier samples, for remedies; see blocks.py
    edited: Sequence[bytes] = ()  # the fresh examples of N_t as a remedy has edited them

    @property
    def written(self) -> Written:
        """All that the next training set is made of."""
        return Written(self.samples, self.verdicts, self.scores, self.edited)


def exchange(mine: Mapping[Cell, Outcome], params: Mapping[Cell, Any]) -> dict[Cell, Outcome]:
    """The outcomes of all cells, from those of this process's.

    Args:
      mine: of the cells that this process owns.
      params: of all cells; they stay where they are (`Ensemble.place`).
    """
    if multihost.alone():
        return dict(mine)
    theirs: dict[Cell, Outcome] = {}
    for payload in multihost.gather(_pack(mine)):
        theirs |= _unpack(payload, params)
    return {cell: mine.get(cell) or theirs[cell] for cell in params}


def exchange_edited(mine: Mapping[Cell, Sequence[bytes]]) -> dict[Cell, list[bytes]]:
    """The edited examples of all cells, from those of the cells that this process holds."""
    payload = json.dumps([[dataclasses.asdict(cell), [e.hex() for e in edited]] for cell, edited in mine.items()])
    return {
        Cell(**keys): [bytes.fromhex(e) for e in edited]
        for part in multihost.gather(payload.encode())
        for keys, edited in json.loads(part)
    }


def _pack(outcomes: Mapping[Cell, Outcome]) -> bytes:
    heads: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for i, (cell, outcome) in enumerate(outcomes.items()):
        heads.append({"cell": dataclasses.asdict(cell), "status": outcome.status, "counters": outcome.trained.counters})
        for name, examples in (("train", outcome.trained.training_set), ("samples", outcome.samples)):
            arrays |= {f"{i}/{name}/{k}": x for k, x in examples_to_arrays(examples).items()}
        arrays |= {f"{i}/verdicts/{k}": x for k, x in outcome.verdicts.items()}
        arrays |= {f"{i}/scores/{k}": x for k, x in outcome.scores.items()}
        arrays |= {f"{i}/nll": outcome.trained.held_out_nll, f"{i}/curve": outcome.curve}
    file = io.BytesIO()
    np.savez(file, heads=np.frombuffer(json.dumps(heads).encode(), np.uint8), **arrays)
    return file.getvalue()


def _unpack(payload: bytes, params: Mapping[Cell, Any]) -> dict[Cell, Outcome]:
    with np.load(io.BytesIO(payload), allow_pickle=False) as file:
        arrays = dict(file)
    outcomes = {}
    for i, head in enumerate(json.loads(arrays["heads"].tobytes())):

        def group(name: str, i: int = i) -> dict[str, np.ndarray]:
            prefix = f"{i}/{name}/"
            return {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}

        cell = Cell(**head["cell"])
        train, samples = examples_from_arrays(group("train")), examples_from_arrays(group("samples"))
        trained = Checkpoint(params[cell], train, head["counters"], arrays[f"{i}/nll"])
        curve, scores = arrays[f"{i}/curve"], group("scores")
        outcomes[cell] = Outcome(trained, samples, group("verdicts"), head["status"], curve, scores)
    return outcomes
