"""How likely the networks find what they have written, on the devices; what is measured: loop/self_likelihood.py."""

from collections.abc import Mapping, Sequence

import numpy as np

from loop.cell import Cell
from loop.self_likelihood import FIRST, SELF, nats_per_symbol, num_judged
from loop.training.ensemble import Ensemble
from loop.training.first import First


def judge(
    ensemble: Ensemble,
    params: dict,
    generation: int,
    written: Sequence[list[bytes]],
    active: np.ndarray,
    leader: Mapping[Cell, Cell],
) -> dict[int, dict[str, float]]:
    """Both means of the active cells, under their columns. Generation 0 sets `ensemble.first`.

    Args:
      params: that were sampled, of all cells.
      written: samples of every cell.
      active: bool_N: the cells that have written.
      leader: in generation 0, the cell that works for each cell that goes on.
    """
    config, cells = ensemble.config, ensemble.cells
    n, T = num_judged(config.loop.num_samples), config.model.context_length
    judged = {i: written[i][:n] for i in np.flatnonzero(active).tolist()}
    by_name = {SELF: ensemble.samples_nll(params, judged)}
    if generation == 0:
        theirs = ensemble.pick(params, [cells.index(leader.get(cell, cell)) for cell in cells])
        ensemble.first = First(theirs, np.array([cell in leader for cell in cells])).beside(ensemble.first)
        by_name[FIRST] = by_name[SELF]
    elif ensemble.first is not None:
        under_first = ensemble.samples_nll(ensemble.put_params(ensemble.first.params), judged)
        by_name[FIRST] = {i: nll for i, nll in under_first.items() if ensemble.first.known[i]}
    return {
        i: {name: nats_per_symbol(nll[i], judged[i], T) for name, nll in by_name.items() if i in nll} for i in judged
    }
