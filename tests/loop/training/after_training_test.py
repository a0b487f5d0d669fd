"""What remedies do with trained models: on two devices, on two that share every cell, and of all cells side by side;
each against the model's own functions, of one cell alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch.configuration import resolve
from launch.presets import smoke
from logic.ids import unpad
from loop.blocks import fresh_examples
from loop.cell import Cell
from loop.streams import Purpose, key
from loop.training.after_training import edit
from loop.training.ensemble import Ensemble
from model.editing import edit_expressions
from model.guidance import Guided, guided
from model.likelihood import expression_nll, lay_out_expressions
from model.models import model_of
from model.sampling import filter_logits, sampler

pytestmark = pytest.mark.slow

CHAINS = ("none", "guided(weight=2)|detector(oracle=True)", "edit(threshold=0.1,top_k=3)", "edit(threshold=0.2)")


def config():
    c = smoke.get_config()
    c.loop.update(num_examples=41, num_samples=33)
    c.sweep.update(cycles=("full",), fresh_ratios=(0.5,), remedies=CHAINS)
    return resolve(c)


CONFIG = config()
CELLS = CONFIG.cells()
ON = np.ones(len(CELLS), bool)
PAIR = guided(model_of(CONFIG.model))


def sharpen(logits: jax.Array) -> jax.Array:
    return filter_logits(logits, CONFIG.sample)


@pytest.fixture(
    scope="module", params=[("map", 2, 1), ("map", 1, 2), ("vmap", 1, 1)], ids=["apart", "shared", "at once"]
)
def found(request) -> dict:
    members, *mesh = request.param
    ensemble = Ensemble(CONFIG, CELLS, members, tuple(mesh))
    params, copies = (ensemble.start(t, ON).best_params for t in (0, 1))
    ids = ensemble.sample(params, 0, ON, copies=copies)
    written = [unpad(rows) for rows in ids]
    plain, drawn = ensemble.score(params, written, ON, copies)
    # In generation 0, the first cell has trained for those whose models are the same.
    leader = {cell: CELLS[0] if i != 1 else cell for i, cell in enumerate(CELLS)}
    edited = edit(ensemble, params, 0, leader, ON)
    first, copy = ensemble.pick(params, [0] * len(CELLS)), ensemble.get(copies)
    return {
        "params": jax.tree.map(lambda x: x[0], first),
        "copy": jax.tree.map(lambda x: x[1], copy),
        "written": written,
        "plain": plain,
        "drawn": drawn,
        "edited": edited,
    }


def test_a_guided_cell_writes_as_the_pair_and_others_as_the_model(found):
    pair = Guided(found["params"], found["copy"], jnp.float32(2))
    stream = key(jnp.uint32(0), jnp.int32(0), Purpose.SAMPLE)
    alone = {
        0: jax.jit(sampler(CONFIG.model, CONFIG.sample, 33))(found["params"], stream),
        1: jax.jit(sampler(CONFIG.model, CONFIG.sample, 33, net=PAIR))(pair, stream),
    }
    for i, ids in alone.items():
        same = np.mean([a == b for a, b in zip(found["written"][i], unpad(np.asarray(ids)), strict=True)])
        assert same > 0.9  # rounding may flip a draw
    assert found["written"][0] == found["written"][2] != found["written"][1]


def test_scores_are_of_the_model_and_of_what_writes(found):
    pair = Guided(found["params"], found["copy"], jnp.float32(2))
    for i, drawn in ((0, (found["params"], None)), (1, (pair, PAIR))):
        laid_out = lay_out_expressions(found["written"][i], CONFIG.model.context_length)
        params, net = drawn
        for name, nats in (
            ("plain", expression_nll(CONFIG.model, found["params"], *laid_out)),
            ("drawn", expression_nll(CONFIG.model, params, *laid_out, sharpen, net)),
        ):
            np.testing.assert_allclose(found[name][i, :33], nats, rtol=1e-3, err_msg=name)


def test_each_cell_edits_its_own_examples_with_its_leaders_model(found):
    assert set(found["edited"]) == set(CELLS[2:])
    n = CONFIG.num_fresh(CELLS[2], 0)
    stream = key(jnp.uint32(0), jnp.int32(0), Purpose.EDIT)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(stream, np.arange(n))
    different = []
    for cell, threshold, top_k in ((CELLS[2], 0.1, 3), (CELLS[3], 0.2, 8)):
        drawn = fresh_examples(CONFIG, cell, 0).expressions
        ids, length = lay_out_expressions(drawn, CONFIG.model.context_length)
        rows = edit_expressions(CONFIG.model, found["params"], ids, length, keys, threshold, top_k)
        expected = [bytes(row[:k]) for row, k in zip(np.asarray(rows), length, strict=True)]
        edited = found["edited"][cell]
        assert np.mean([a == b for a, b in zip(edited, expected, strict=True)]) > 0.9
        different.append(edited != drawn)
    assert different[0]


def test_where_nothing_is_fresh_nothing_is_edited():
    ensemble = Ensemble(CONFIG, [dataclasses.replace(cell, seed=0) for cell in CELLS], "map", (1, 1))
    assert edit(ensemble, {}, 0, {Cell("full", 0.5, 0): Cell("full", 0.5, 0)}, ON) == {}
