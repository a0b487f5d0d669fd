import dataclasses

import jax
import numpy as np
import pytest

from loop.blocks import initial_training_set
from loop.config import Config, LoopConfig, SweepConfig
from loop.streams import Purpose, generator
from loop.training.data import lay_out
from loop.training.ensemble import Ensemble, members_at_once
from loop.training.memory import FILLED, bytes_on_device, bytes_per_cell, capacity
from model.config import SampleConfig
from tests.loop.cells import of_seeds
from tests.loop.training.train_test import CONFIG as TRAIN
from tests.loop.training.train_test import MODEL, Boolean

pytestmark = pytest.mark.slow

SEEDS = (5, 6, 7)
CONFIG = Config(
    language=Boolean(1, 2),
    model=MODEL,
    train=dataclasses.replace(TRAIN, eval_interval=10),
    sample=SampleConfig(batch_size=16),
    loop=LoopConfig(num_examples=64, num_samples=40, num_held_out=64, generations=2),
    sweep=SweepConfig(cycles=("fresh",), fresh_ratios=(1.0,), seeds=SEEDS),
)


def training_data(seeds):
    return [
        lay_out(initial_training_set(CONFIG, s), generator(s, 0, Purpose.SHUFFLE), 0.1, capacity(CONFIG)) for s in seeds
    ]


def train(seeds, members="map", chunks=2, active=None, generation=0):
    ensemble = Ensemble(CONFIG, of_seeds(seeds), members)
    active = np.ones(len(seeds), bool) if active is None else np.array(active)
    state = ensemble.start(generation, active)
    for _ in range(chunks):
        state = ensemble.train_chunk(state, ensemble.put_data(training_data(seeds)), generation)
    return ensemble, state


@pytest.mark.parametrize("members", ["map", "vmap", "2"])
def test_a_member_equals_its_solo_run(members):
    assert len(jax.devices()) == 2
    ensemble, state = train(SEEDS, members)
    together = ensemble.get(state)
    samples = ensemble.sample(state.best_params, 0, np.ones(3, bool))
    for i, seed in enumerate(SEEDS):
        solo, solo_state = train((seed,))
        alone = solo.get(solo_state)
        np.testing.assert_allclose(together.train_loss[i], alone.train_loss[0], rtol=1e-4)
        np.testing.assert_allclose(together.validation_loss[i], alone.validation_loss[0], rtol=1e-4)
        assert together.step[i] == alone.step[0] == 20
        solo_samples = solo.sample(solo_state.best_params, 0, np.ones(1, bool))[0]
        # A rounding difference may flip a draw; it cannot flip many.
        assert np.mean((samples[i] != solo_samples).any(axis=1)) < 0.1


def test_seeds_and_generations_differ():
    ensemble, state = train(SEEDS, chunks=1)
    losses = ensemble.get(state.train_loss)
    assert len(set(losses.tolist())) == 3
    ensemble, state = train(SEEDS, chunks=1, generation=1)
    assert not np.isclose(ensemble.get(state.train_loss), losses, rtol=1e-6).any()


@pytest.mark.parametrize("members", ["map", "vmap"])
def test_a_cell_that_rests_takes_no_step_and_disturbs_no_other(members):
    ensemble, state = train(SEEDS, members)
    rested, rested_state = train(SEEDS, members, active=[True, False, True])
    all_three, two = ensemble.get(state), rested.get(rested_state)
    assert two.step.tolist() == [20, 0, 20]
    np.testing.assert_allclose(two.train_loss[[0, 2]], all_three.train_loss[[0, 2]], rtol=1e-5)
    samples = rested.sample(rested_state.best_params, 0, np.array([True, False, True]))
    assert samples[[0, 2]].any()
    assert not samples[1].any()


@pytest.mark.parametrize("members", ["map", "vmap"])
def test_a_cell_with_infinite_loss_stops_and_its_neighbours_go_on(members):
    healthy, healthy_state = train(SEEDS, members)
    ensemble = Ensemble(CONFIG, of_seeds(SEEDS), members)
    state = ensemble.start(0, np.ones(3, bool))
    row = ensemble.rows[1]
    state = state.replace(params=jax.tree.map(lambda x: x.at[row].set(np.nan), state.params))
    for _ in range(2):
        state = ensemble.train_chunk(state, ensemble.put_data(training_data(SEEDS)), 0)
    host = ensemble.get(state)
    assert host.finite.tolist() == [True, False, True]
    assert host.step.tolist() == [20, 1, 20]
    np.testing.assert_allclose(host.train_loss[[0, 2]], healthy.get(healthy_state.train_loss)[[0, 2]], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_rows_are_distinct_and_spread_over_devices(n):
    ensemble = Ensemble(CONFIG, of_seeds(range(n)))
    assert len(set(ensemble.rows.tolist())) == n
    assert ensemble.get(ensemble.seeds).tolist() == list(range(n))
    per_slot = ensemble.layout.num_rows // ensemble.layout.mesh.shape["run"]
    busy = np.bincount(ensemble.rows // per_slot)
    assert busy.max() - busy.min() <= 1


@pytest.mark.parametrize(("members", "at_once"), [("map", 1), ("vmap", 10), ("3", 3), ("4", 4), ("9", 5), ("99", 10)])
def test_members_are_taken_in_equal_groups(members, at_once):
    assert members_at_once(members, CONFIG, 10) == at_once


@pytest.mark.parametrize("members", ["0", "-1", "all", ""])
def test_other_members_are_refused(members):
    with pytest.raises(ValueError, match=r"members = .*: allowed are auto, map, vmap, and integers from 1"):
        members_at_once(members, CONFIG, 10)


def test_a_snapshot_restores_the_state():
    ensemble, state = train(SEEDS, active=[True, False, True])
    snapshot = ensemble.snapshot(state, [0, 2])
    again = Ensemble(CONFIG, of_seeds(SEEDS), "vmap").restore([snapshot.get(i) for i in range(3)])
    for a, b in zip(jax.tree.leaves(ensemble.get(again)), jax.tree.leaves(ensemble.get(state)), strict=True):
        np.testing.assert_array_equal(a[[0, 2]], b[[0, 2]])
    assert ensemble.facts(again).active.tolist() == ensemble.facts(state).active.tolist()


class Device:
    def __init__(self, stats: dict | None):
        self.memory_stats = lambda: stats


@pytest.mark.parametrize(("stats", "at_once"), [(None, 10), ({"bytes_limit": 1e12}, 10), ({"bytes_limit": 1e3}, 1)])
def test_an_accelerator_takes_as_many_as_fit(stats, at_once, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(stats)])
    assert members_at_once("auto", CONFIG, 10) == at_once
    room = bytes_on_device(bytes_per_cell(CONFIG), 10, 5) / FILLED
    monkeypatch.setattr(jax, "local_devices", lambda: [Device({"bytes_limit": room})])
    assert members_at_once("auto", CONFIG, 10) == 5
