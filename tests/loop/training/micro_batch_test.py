"""How batches are cut, by itself and by hand, and that the cut changes no result beyond rounding."""

import dataclasses

import jax
import numpy as np
import pytest

from launch.benchmarks.sizes import PAPER, SMALL
from launch.configuration import resolve
from launch.presets import demo, smoke
from loop.config import Config, LoopConfig
from loop.training.ensemble import Ensemble
from loop.training.memory import FILLED, bytes_on_device, bytes_per_cell, members_that_fit
from loop.training.micro_batch import parts_of_batch
from model.config import CPU_SYMBOLS, SampleConfig
from tests.loop.cells import of_seeds
from tests.loop.training.ensemble_test import CONFIG, Device, training_data


def with_train(config, **fields):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **fields))


def test_on_a_cpu_parts_are_of_some_hundred_symbols():
    for size, windows in ((SMALL, 4), (PAPER, 2)):
        config = Config(model=size.model())
        assert windows * size.context_length == CPU_SYMBOLS
        assert parts_of_batch(config, accelerator=False) == 64 // windows
        assert parts_of_batch(config, data=2, accelerator=False) == 32 // windows  # of a share of the batch
    for preset in (smoke, demo):
        assert parts_of_batch(resolve(preset.get_config()), accelerator=False) == 1
    long = Config(model=dataclasses.replace(SMALL.model(), context_length=4 * CPU_SYMBOLS))
    assert parts_of_batch(long, accelerator=False) == 64
    assert parts_of_batch(with_train(Config(model=SMALL.model()), batch_size=31), accelerator=False) == 31  # a prime


@pytest.mark.parametrize(("micro_batch", "data", "parts"), [(64, 1, 1), (16, 1, 4), (1, 1, 64), (16, 4, 1), (4, 4, 4)])
def test_a_micro_batch_of_ones_own_is_a_devices(micro_batch, data, parts):
    config = with_train(Config(), micro_batch=micro_batch)
    assert parts_of_batch(config, data, accelerator=False) == parts_of_batch(config, data, bytes_limit=80e9) == parts


def test_an_accelerator_cuts_a_batch_that_does_not_fit_as_little_as_it_takes():
    config = Config(sample=SampleConfig(batch_size=16), loop=LoopConfig(num_held_out=16))  # training takes the most
    assert parts_of_batch(config) == parts_of_batch(config, bytes_limit=80e9) == 1
    needed = {p: bytes_on_device(bytes_per_cell(config, parts=p), 1, 1) / FILLED for p in (1, 2, 4, 64)}
    assert needed[1] > needed[2] > needed[4] > needed[64]
    assert parts_of_batch(config, bytes_limit=needed[1], cells=1) == 1
    assert parts_of_batch(config, bytes_limit=needed[1] - 1, cells=1) == 2
    assert parts_of_batch(config, bytes_limit=needed[4], cells=1) == 4
    assert members_that_fit(config, needed[4], 1, parts=4) == 1 and not members_that_fit(config, needed[4], 1)
    # Where nothing fits, no more parts than make a difference: sampling takes more than a step of a few windows.
    least = parts_of_batch(config, bytes_limit=1.0)
    assert bytes_per_cell(config, parts=least).working == bytes_per_cell(config, parts=64).working
    assert bytes_per_cell(config, parts=least // 2).working > bytes_per_cell(config, parts=64).working


def test_the_ensemble_cuts_where_memory_is_short(monkeypatch):
    model = dataclasses.replace(CONFIG.model, width=32, context_length=64)
    config = dataclasses.replace(CONFIG, model=model, loop=dataclasses.replace(CONFIG.loop, num_held_out=4))
    needed = {p: bytes_on_device(bytes_per_cell(config, parts=p), 2, 1) / FILLED for p in (1, 2)}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [Device({"bytes_limit": needed[1] - 1})])
    layout = Ensemble(config, of_seeds(range(4))).layout
    assert (layout.parts, layout.at_once) == (2, 1)
    monkeypatch.setattr(jax, "local_devices", lambda: [Device({"bytes_limit": 1e12})])
    assert Ensemble(config, of_seeds(range(4))).layout.parts == 1


def trained(config, members, seeds=(5, 6, 7), chunks=2, snapshot_after=None):
    """The ensemble and its state; between two chunks everything but a snapshot is forgotten, if asked for."""
    ensemble = Ensemble(config, of_seeds(seeds), members)
    state = ensemble.start(0, np.ones(len(seeds), bool))
    for chunk in range(chunks):
        state = ensemble.train_chunk(state, ensemble.put_data(training_data(seeds)), 0)
        if chunk == snapshot_after:
            saved = ensemble.snapshot(state, range(len(seeds)))
            ensemble = Ensemble(config, of_seeds(seeds), members)
            state = ensemble.restore([saved[i] for i in range(len(seeds))])
    return ensemble, ensemble.get(state)


DROPPED = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, dropout=0.2))
IN_PARTS = with_train(DROPPED, micro_batch=4)


@pytest.fixture(scope="module")
def whole():
    """With whole batches."""
    return trained(DROPPED, "map")[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("members", "seeds", "data", "parts"),
    [("map", (5, 6, 7), 1, 4), ("vmap", (5, 6, 7), 1, 4), ("map", (5,), 2, 2)],
    ids=["map", "vmap", "a cell that two devices share"],
)
def test_training_in_parts_ends_as_that_with_whole_batches(members, seeds, data, parts, whole):
    assert len(jax.devices()) == 2
    ensemble, state = trained(IN_PARTS, members, seeds)
    assert (ensemble.layout.data, ensemble.layout.parts) == (data, parts)
    for name in ("train_loss", "validation_loss", "loss", "step"):
        np.testing.assert_allclose(getattr(state, name), getattr(whole, name)[: len(seeds)], rtol=1e-3)


@pytest.mark.slow
def test_a_run_in_parts_goes_on_with_the_same_bits():
    uninterrupted, resumed = trained(IN_PARTS, "map")[1], trained(IN_PARTS, "map", snapshot_after=0)[1]
    jax.tree.map(np.testing.assert_array_equal, uninterrupted, resumed)
