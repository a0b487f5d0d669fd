"""The memory formulas against XLA's own account of the compiled programs, and against arrays that exist."""

import dataclasses

import jax
import numpy as np
import pytest

from logic.boolean.language import Boolean
from loop.cell import Cell
from loop.config import Config, LoopConfig, SweepConfig, TrainConfig
from loop.training.data import TrainData
from loop.training.ensemble import Ensemble
from loop.training.memory import (
    FILLED,
    bytes_on_device,
    bytes_per_cell,
    capacity,
    groups,
    members_that_fit,
    sampler_rows,
)
from loop.training.mesh import state_sharding
from loop.training.micro_batch import parts_of_batch
from model.config import ModelConfig
from model.guidance import Guided
from model.sampling import rows
from tests.loop.cells import of_seeds

pytestmark = pytest.mark.slow


def config(width=64, context=32, dropout=0.0, layers=1, samples=64, micro_batch=16, **model) -> Config:
    return Config(
        language=Boolean(1, 2),
        model=ModelConfig(layers, 2, width, context, dropout, **model),
        train=TrainConfig(batch_size=16, micro_batch=micro_batch),
        loop=LoopConfig(generations=1, num_examples=64, num_samples=samples, num_held_out=16),
        sweep=SweepConfig(cycles=("fresh",)),
    )


def structs(ensemble, tree):
    """Shapes with the layout that the run gives them."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=state_sharding(ensemble.layout.mesh, x.shape)), tree
    )


def in_use(lowered) -> int:
    """Bytes of one device, by XLA: what goes in, comes out, and lies between; donated arrays count once."""
    m = lowered.compile().memory_analysis()  # within 400 bytes of what it is of programs compiled as users have them
    return m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes + m.temp_size_in_bytes


def state_of(ensemble, n):
    active = ensemble.put(np.ones(n, bool))
    return structs(ensemble, jax.eval_shape(ensemble._programs.start, ensemble.seeds, ensemble._generation(0), active))


def train_bytes(c, n, members, mesh) -> int:
    ensemble = Ensemble(c, of_seeds(range(n)), members, mesh)
    symbols, examples = capacity(c)
    blank = TrainData(np.zeros(symbols, np.uint8), np.zeros(examples, np.int32), *[np.array(0, np.int32)] * 4)
    arguments = (ensemble.put_data([blank] * n), ensemble.seeds, ensemble._generation(0), ensemble.treatment)
    return in_use(ensemble._programs.chunk.lower(state_of(ensemble, n), *arguments))


# Cells, how a device takes them, the mesh; two virtual devices.
@pytest.mark.parametrize(
    "c, n, members, mesh, at_once",
    [
        (config(context=128, width=32, dropout=0.2), 1, "map", (1, 1), 1),
        (config(), 12, "2", (2, 1), 2),
        (config(context=64, layers=2, micro_batch=4), 1, "map", (1, 1), 1),
        (config(layers=2), 1, "map", (1, 2), 1),
    ],
    ids=["one, dropout", "groups of two", "in parts", "one on both devices"],
)
def test_training_is_within_a_third_of_what_xla_takes(c, n, members, mesh, at_once):
    run, data = mesh
    cell = bytes_per_cell(c, data, accelerator=False, parts=parts_of_batch(c, data, accelerator=False))
    # The chunk alone: what samples and judges needs more here, where batches are tiny.
    cell = dataclasses.replace(cell, sampler=0, likelihood=0)
    assert 3 / 4 < bytes_on_device(cell, -(-n // run), at_once) / train_bytes(c, n, members, mesh) < 4 / 3


def test_sampling_is_within_a_third_of_what_xla_takes():
    c = config(context=128)
    ensemble = Ensemble(c, of_seeds(range(3)), "vmap", (1, 1))
    params = state_of(ensemble, 3).best_params
    taken = ensemble.treatment, ensemble._generation(0)
    arguments = (ensemble.seeds, ensemble._generation(0), ensemble.put(np.ones(3, bool)), *taken)
    actual = in_use(ensemble._programs.sample.lower(params, *arguments))
    cell = bytes_per_cell(c, accelerator=False)
    assert 3 / 4 < 3 * (cell.best + cell.sampler) / actual < 4 / 3


@pytest.mark.parametrize("n, members", [(1, "map"), (6, "2")], ids=["one", "groups of two"])
def test_copies_take_no_more_than_training_and_two_samplers_twice_as_much(n, members):
    c = config(context=128)
    loop, sweep = dataclasses.replace(c.loop, generations=2), SweepConfig(("full",), (0.0,), remedies=("guided",))
    c = dataclasses.replace(c, loop=loop, sweep=sweep)
    ensemble = Ensemble(c, [Cell("full", 0.0, s, remedy="guided") for s in range(n)], members, (1, 1))
    params, active = state_of(ensemble, n).best_params, ensemble.put(np.ones(n, bool))
    symbols, examples = capacity(c)
    blank = TrainData(np.zeros(symbols, np.uint8), np.zeros(examples, np.int32), *[np.array(0, np.int32)] * 4)
    own, at = ensemble.put_data([blank] * n), ensemble._generation(0)
    copying = ensemble._programs.copy.lower(params, own, ensemble.seeds, at, active, ensemble.treatment)
    cell = bytes_per_cell(c, accelerator=False)
    at_once = 1 if n == 1 else 2
    assert in_use(copying) < 4 / 3 * bytes_on_device(dataclasses.replace(cell, sampler=0, likelihood=0), n, at_once)
    pair = Guided(params, params, ensemble.treatment.guidance)
    sampling = ensemble._programs.sample_guided.lower(pair, ensemble.seeds, at, active, ensemble.treatment, at)
    assert 3 / 4 < (2 * n * cell.best + at_once * cell.sampler) / in_use(sampling) < 4 / 3


def test_scores_need_room_for_samples_of_several_generations():
    plain = config(samples=4_000)
    sweep = SweepConfig(("full",), (0.0,), remedies=("surplexity(pool=3)",))
    scoring = dataclasses.replace(plain, sweep=sweep)
    assert bytes_per_cell(scoring).data == 3 * 4_000 * (32 + 1 + 4) > bytes_per_cell(plain).data
    assert bytes_per_cell(scoring).likelihood == 16 * bytes_per_cell(plain).likelihood  # 256 at a time, not 16


def test_state_and_data_are_what_the_arrays_hold():
    c = config(layers=2)
    ensemble = Ensemble(c, of_seeds([0]), "map", (1, 1))
    state = state_of(ensemble, 1)
    matrices = [x for x in jax.tree.leaves(state) if x.ndim > 1]
    cell = bytes_per_cell(c)
    assert cell.state == sum(4 * x.size for x in matrices)
    assert cell.params == sum(4 * x.size for x in jax.tree.leaves(state.params))
    symbols, examples = capacity(c)
    assert cell.data == np.zeros(symbols, np.uint8).nbytes + np.zeros(examples, np.int32).nbytes


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_rows_are_the_samplers(monkeypatch, platform):
    c = config(samples=10_000)
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert sampler_rows(c, accelerator=platform != "cpu") == rows(c.sample, 10_000)


def test_groups_are_equal():
    assert groups(10, 4) == (3, 4)
    assert groups(9, 4) == (3, 3)
    assert groups(4, 100) == (1, 4)
    assert groups(5, 1) == (5, 1)


def test_as_many_members_as_fit_and_no_more():
    c = Config(model=ModelConfig(dtype="bfloat16"))
    cell = bytes_per_cell(c)
    most = members_that_fit(c, 80e9)
    assert bytes_on_device(cell, most, most) <= FILLED * 80e9 < bytes_on_device(cell, most + 1, most + 1)
    with_others = members_that_fit(c, 80e9, cells=60)
    assert 0 < with_others < most
    assert bytes_on_device(cell, 60, with_others) <= FILLED * 80e9
    assert members_that_fit(c, 80e9, cells=2) == 2
    assert members_that_fit(c, 1e9) == 0
    assert members_that_fit(c, 80e9, cells=1_000) == 0  # their states alone do not fit
    limits = [members_that_fit(c, limit) for limit in (1e9, 8e9, 16e9, 80e9, 141e9)]
    assert limits == sorted(limits) and len(set(limits)) > 3


def test_sharing_a_cell_takes_less_of_each_device():
    one, four = bytes_per_cell(Config(), 1), bytes_per_cell(Config(), 4)
    assert four.state * 4 == one.state
    assert four.activations * 4 == one.activations
    assert four.gathered == one.params  # whole parameters are gathered for use


def test_bfloat16_halves_the_cache_on_an_accelerator():
    c = Config(model=ModelConfig(dtype="bfloat16"))
    assert bytes_per_cell(c).sampler < 0.51 * bytes_per_cell(Config()).sampler
    assert bytes_per_cell(c).activations < bytes_per_cell(Config()).activations
    assert bytes_per_cell(c, accelerator=False).activations == bytes_per_cell(Config(), accelerator=False).activations
