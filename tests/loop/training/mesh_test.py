"""The mesh, on eight virtual devices: a process of its own, since their number is fixed at the start."""

import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from loop.blocks import initial_training_set
from loop.streams import Purpose, generator
from loop.training.data import lay_out
from loop.training.ensemble import Ensemble
from loop.training.memory import capacity
from loop.training.mesh import choose_mesh, parse_mesh
from tests.loop.cells import of_seeds
from tests.loop.training.ensemble_test import CONFIG

pytestmark = pytest.mark.slow

MODEL = dataclasses.replace(CONFIG.model, dropout=0.1)
SWEEP = dataclasses.replace(CONFIG, model=MODEL)
COLLECTIVES = "all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all"


@pytest.mark.parametrize(
    ("cells", "devices", "batch", "mesh"),
    [
        (105, 8, 64, (8, 1)),
        (1, 8, 64, (1, 8)),
        (3, 8, 64, (3, 2)),
        (1, 8, 60, (1, 6)),
        (1, 8, 7, (1, 7)),
        (2, 1, 64, (1, 1)),
    ],
)
def test_many_cells_take_all_devices_and_one_model_is_shared(cells, devices, batch, mesh):
    assert choose_mesh(cells, devices, batch) == mesh
    assert parse_mesh("auto", cells, devices, batch) == mesh


@pytest.mark.parametrize("text", ["", "8", "0x8", "x", "2x2x2", "-1x8", "16x1", "1x3"])
def test_other_meshes_are_refused(text):
    with pytest.raises(ValueError, match=rf"mesh = {text}: "):
        parse_mesh(text, num_cells=4, num_devices=8, batch_size=64)


@functools.cache
def observe(num_cells: int, mesh: tuple[int, int], members: str) -> dict:
    """Losses, samples, held-out likelihoods and the training program's collectives of a short generation."""
    seeds = range(num_cells)
    ensemble = Ensemble(SWEEP, of_seeds(seeds), members, mesh)
    data = ensemble.put_data(
        [lay_out(initial_training_set(SWEEP, s), generator(s, 0, Purpose.SHUFFLE), 0.1, capacity(SWEEP)) for s in seeds]
    )
    state = ensemble.start(0, np.ones(num_cells, bool))
    given = state, data, ensemble.seeds, ensemble._generation(0), ensemble.treatment
    program = ensemble._programs.chunk.lower(*given).compile().as_text()
    kernel = state.params["block_0"]["mlp_in"]["kernel"]
    share = kernel.addressable_shards[0].data.size / kernel.size * mesh[0]
    for _ in range(2):
        state = ensemble.train_chunk(state, data, 0)
    host = ensemble.get(state)
    return {
        "train_loss": host.train_loss.tolist(),
        "validation_loss": host.validation_loss.tolist(),
        "steps": host.step.tolist(),
        "samples": ensemble.sample(state.best_params, 0, np.ones(num_cells, bool)).tolist(),
        "nll": ensemble.held_out_nll(state.best_params).tolist(),
        "collectives": sorted(set(re.findall(COLLECTIVES, program or ""))),
        "share_of_a_matrix": share,
    }


@pytest.fixture(scope="module")
def eight() -> dict:
    """What eight devices make of nine cells over `run`, with padding, of one over `data`, and of two over both."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.loop.training.mesh_test"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def check(ours: dict, one: dict) -> None:
    assert ours["steps"] == one["steps"]
    np.testing.assert_allclose(ours["train_loss"], one["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(ours["validation_loss"], one["validation_loss"], rtol=1e-4)
    np.testing.assert_allclose(ours["nll"], one["nll"], rtol=1e-3, atol=1e-3)
    # A rounding difference may flip a draw; it cannot flip many.
    assert np.mean((np.array(ours["samples"]) != np.array(one["samples"])).any(axis=2)) < 0.1


def test_cells_over_run_equal_one_device_and_never_communicate(eight):
    check(eight["run"], observe(9, (1, 1), "map"))
    assert eight["run"]["collectives"] == []


@pytest.mark.parametrize(("name", "cells"), [("data", 1), ("both", 2), ("both_at_once", 2)])
def test_a_batch_over_data_equals_one_device(eight, name, cells):
    check(eight[name], observe(cells, (1, 1), "map"))
    assert eight[name]["collectives"]


def test_parameters_over_data_are_split(eight):
    assert eight["run"]["share_of_a_matrix"] == 1
    assert eight["data"]["share_of_a_matrix"] == 1 / 8
    assert eight["both"]["share_of_a_matrix"] == 1 / 4


if __name__ == "__main__":
    assert len(jax.devices()) == 8
    print(
        json.dumps(
            {
                "run": observe(9, (8, 1), "map"),
                "data": observe(1, (1, 8), "map"),
                "both": observe(2, (2, 4), "map"),
                "both_at_once": observe(2, (1, 8), "vmap"),
            }
        )
    )
