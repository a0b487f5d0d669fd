"""What remedies do with the trained models of all cells: go away from copies, score samples, edit real examples.

Nothing runs where no remedy asks for it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from logic.ids import unpad
from loop.blocks import fresh_examples
from loop.cell import Cell
from loop.examples import Examples
from loop.outcome import exchange_edited
from loop.remedies import acting, needing, remedies_of
from loop.remedies.remedy import SURPRISE, WRITTEN
from loop.streams import Purpose
from loop.training.data import lay_out_cells
from loop.training.ensemble import Ensemble
from loop.training.memory import capacity


def combine(ensemble: Ensemble, generation: int, params: dict, active: np.ndarray) -> tuple[dict, dict | None]:
    """The parameters that are sampled, moved away from what self-training does where a remedy wants that, and those
    of the copies that guide some cells, if there are any."""
    config, cells = ensemble.config, ensemble.cells
    on = active & np.array([bool(acting(remedies_of(cell.remedy), "combine")) for cell in cells])
    if not on.any():
        return params, None
    ids = ensemble.sample(params, generation, on, Purpose.OWN)
    most, nothing = capacity(config)[1], Examples.drawn([], generation)
    own: dict[Cell, Examples | None] = dict.fromkeys(cells)
    for i in np.flatnonzero(on & ensemble.held).tolist():
        own[cells[i]] = Examples.written(unpad(ids[i])[:most], generation, nothing)
    data = ensemble.put_data(*lay_out_cells(config, cells, generation, own, on))
    return ensemble.with_copies(params, data, generation, on)


def score(
    ensemble: Ensemble,
    params: dict,
    copies: dict | None,
    written: Sequence[list[bytes]],
    past: Mapping[Cell, Sequence[list[bytes]]],
    leader: Mapping[Cell, Cell],
    active: np.ndarray,
) -> dict[Cell, dict[str, np.ndarray]]:
    """Scores of what the cells have written, now and before, where remedies of theirs or of their followers ask.

    Args:
      leader: the cell that works for each cell that goes on.
    """
    cells = ensemble.cells
    chains: dict[Cell, list] = {}
    for cell, first in leader.items():
        chains.setdefault(first, []).extend(remedies_of(cell.remedy))
    asks = {cell: needing(chain, SURPRISE, WRITTEN) for cell, chain in chains.items()}
    wanted = active & np.array([bool(asks.get(cell)) for cell in cells])
    if not wanted.any():
        return {}
    parts = [[written[i], *past.get(cell, [])] if wanted[i] else [] for i, cell in enumerate(cells)]
    plain, drawn = ensemble.score(params, [[e for part in p for e in part] for p in parts], wanted, copies)
    scores: dict[Cell, dict[str, np.ndarray]] = {}
    for i in np.flatnonzero(wanted & ensemble.held).tolist():
        cuts = np.cumsum([len(part) for part in parts[i]])
        mine: dict[str, np.ndarray] = {}
        for name, need, nats in (("nats", SURPRISE, plain), ("written_nats", WRITTEN, drawn)):
            if needing(asks[cells[i]], need):
                mine |= {f"{name}_{age}": x for age, x in enumerate(np.split(nats[i], cuts)[:-1])}
        scores[cells[i]] = mine
    return scores


def edit(
    ensemble: Ensemble, params: dict, generation: int, leader: Mapping[Cell, Cell], active: np.ndarray
) -> dict[Cell, list[bytes]]:
    """The fresh examples of the blocks that cells leave behind, as their models edit them, where remedies want that.

    In generation 0 the models of leaders are those of all their followers, which are told apart by what they edit.
    """
    config, cells = ensemble.config, ensemble.cells
    trained = dict(zip(cells, active.tolist(), strict=True))

    def edits(cell: Cell) -> bool:
        has = acting(remedies_of(cell.remedy), "edit") and config.num_fresh(cell, generation)
        return bool(has and cell in leader and trained[leader[cell]])

    on = np.array([edits(cell) for cell in cells])
    if not on.any():
        return {}
    if generation == 0:
        params = ensemble.put_params(ensemble.pick(params, [cells.index(leader.get(cell, cell)) for cell in cells]))
    here = on & ensemble.held
    fresh = [fresh_examples(config, c, generation).expressions if h else [] for c, h in zip(cells, here, strict=True)]
    edited = ensemble.edit(params, fresh, generation, on)
    return exchange_edited({cells[i]: edited[i] for i in np.flatnonzero(here).tolist()})
