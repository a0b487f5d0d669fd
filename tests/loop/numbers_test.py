"""Settings that differ in numbers alone run side by side: each as it would have run by itself, to the bit or nearly."""

import dataclasses
import math
import shutil

import jax
import numpy as np
import pytest

from eval.measures.generation import measure_generation
from launch.configuration import settings
from launch.presets import smoke
from loop.config import Config
from loop.numbers import alike, representative
from loop.run import run, run_side_by_side
from loop.storage.run_directory import RunDirectory
from loop.training.memory import FILLED, bytes_on_device, bytes_per_cell, settings_that_fit
from loop.watch import Control, Stopped

COSTS = ("train_seconds", "sample_seconds")
TEMPERATURES = (0.5, 1.0)


def small(*axes, **sweep) -> dict[str, Config]:
    """The settings of a small sweep, by name."""
    preset = smoke.get_config()
    preset.loop.generations = 3
    preset.train.eval_interval = 5
    preset.sweep.update(cycles=("full",), fresh_ratios=(0.0, 0.5), seeds=(0,), axes=axes)
    preset.sweep.update(sweep)
    return settings(preset)


def directories(path, configs) -> dict[str, RunDirectory]:
    found = {name: RunDirectory(path / (name or "run")) for name in configs}
    for name, config in configs.items():
        found[name].create(dataclasses.asdict(config), "test")
    return found


def results(directory: RunDirectory) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in COSTS} for row in directory.rows()]


def same(a: RunDirectory, b: RunDirectory, config: Config) -> bool:
    last = config.loop.generations - 1
    return results(a) == results(b) and all(
        a.read_samples(cell, last).expressions == b.read_samples(cell, last).expressions
        and all(map(np.array_equal, *(jax.tree.leaves(d.load(cell, last).params) for d in (a, b))))
        for cell in config.cells()
    )


# Which settings are alike.


def test_settings_are_alike_that_differ_in_numbers():
    configs = small(("sample.temperature", TEMPERATURES), ("model.width", (16, 32)), ("train.weight_decay", (0.0, 0.1)))
    groups = alike(configs)
    assert [len(group) for group in groups] == [4, 4]
    assert [name for group in groups for name in group if "model.width=16" in name] == list(groups[0])
    assert sorted(name for group in groups for name in group) == sorted(configs)


@pytest.mark.parametrize(
    "axis",
    [
        ("train.max_steps", (20, 40)),
        ("sample.top_k", (0, 4)),
        ("loop.num_samples", (64, 80)),
        ("train.patience", (0, 1)),
    ],
)
def test_what_changes_a_program_or_its_shapes_is_no_number(axis):
    assert [len(group) for group in alike(small(axis))] == [1, 1]


def test_first_data_may_differ():
    assert [len(group) for group in alike(small(("loop.first_pool", (10, 30, 64))))] == [3]


def test_one_with_dropout_stands_for_all():
    configs = list(small(("model.dropout", (0.0, 0.2, 0.1))).values())
    assert representative(configs).model.dropout == 0.2


def test_as_many_settings_lie_together_as_memory_holds():
    (config,) = small().values()
    cell = bytes_per_cell(config, 1, True)

    def fit(settings, members="auto", at_once=1, host=math.inf):
        limit = bytes_on_device(cell, settings * 2, at_once) / FILLED
        return settings_that_fit(config, limit, host, lambda cells: (1, 1), members, 8)

    assert [fit(n) for n in (1, 2, 5, 8, 20)] == [1, 2, 5, 8, 8]
    assert settings_that_fit(config, 1, None, lambda cells: (1, 1), "auto", 8) == 1  # what it takes is said elsewhere
    assert fit(5, "vmap", at_once=10) == fit(5, "2", at_once=2) == 5 and fit(5, "vmap") == 1
    assert fit(8, host=20 * 4 * cell.params) == 0.75 * 20 * 4 // (2 * 11)  # saved states pass through the host


# Side by side, and one after another.


@pytest.fixture(scope="module")
def temperatures(tmp_path_factory):
    """(settings, their directories): two temperatures, two networks and two memorisers in each."""
    configs = small(("sample.temperature", TEMPERATURES), learners=("transformer", "memoriser"))
    found = directories(tmp_path_factory.mktemp("side-by-side"), configs)
    run_side_by_side(configs, found, measure_generation)
    return configs, found


@pytest.mark.slow
def test_temperatures_side_by_side_are_those_of_runs_of_their_own(temperatures, tmp_path):
    configs, found = temperatures
    assert results(found["sample.temperature=0.5"]) != results(found["sample.temperature=1.0"])
    for name, directory in directories(tmp_path, configs).items():
        run(configs[name], directory, measure_generation)
        assert same(found[name], directory, configs[name])


@pytest.fixture
def cheaply_compiled():
    """Where bits are not compared."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
def test_each_has_its_own_first_data_learning_rate_and_dropout(tmp_path, cheaply_compiled):
    """Two settings that differ in all three; constants and arrays may round differently."""
    axes = (("loop.first_pool", (8, 64)), ("train.learning_rate", (1e-3, 4e-3)), ("model.dropout", (0.0, 0.2)))
    configs = small(*axes, fresh_ratios=(0.0,))
    configs = {name: _shorter(configs[name]) for name in (min(configs), max(configs))}
    assert len(alike(configs)) == 1
    found = directories(tmp_path / "together", configs)
    run_side_by_side(configs, found, measure_generation)
    for name, directory in directories(tmp_path / "alone", configs).items():
        run(configs[name], directory, measure_generation)
        (row, *_), (alone, *_) = found[name].rows(), directory.rows()
        assert row["train_unique_fraction"] == alone["train_unique_fraction"]
        assert [row["train_loss"], row["real_nll"]] == pytest.approx([alone["train_loss"], alone["real_nll"]], rel=1e-4)
    assert len({directory.rows()[0]["train_loss"] for directory in found.values()}) == 2


def _shorter(config: Config) -> Config:
    return dataclasses.replace(config, loop=dataclasses.replace(config.loop, generations=1))


@pytest.mark.slow
def test_a_setting_that_is_behind_catches_up(temperatures, tmp_path):
    """One was killed before its last rows, and has lost all of the generation before; the other one is finished."""
    configs, found = temperatures
    behind, ahead = (RunDirectory(shutil.copytree(found[n].path, tmp_path / n)) for n in configs)
    behind.write_rows([row for row in behind.rows() if row["generation"] < 1])
    behind.remove_from(1)
    ahead.write_rows([row for row in ahead.rows() if row["generation"] < 2])
    told: list[int] = []
    again = dict(zip(configs, (behind, ahead), strict=True))
    run_side_by_side(configs, again, measure_generation, Control(tell=lambda p: told.append(p.generation)))
    assert sorted(set(told)) == [1, 2]
    assert all(same(found[name], again[name], configs[name]) for name in configs)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [None, 0, 1], ids=["both states", "the first's newest lost", "the second's"])
def test_a_generation_goes_on_from_the_newest_state_that_all_have(temperatures, tmp_path, lost):
    configs, found = temperatures
    again = directories(tmp_path, configs)
    chunks: list[tuple[int, int]] = []

    def stop():
        return len(chunks) == 7

    control = Control(tell=lambda p: chunks.append((p.generation, p.step)), stop=stop, save_seconds=0)
    with pytest.raises(Stopped):
        run_side_by_side(configs, again, measure_generation, control)
    generation, step = chunks[-1]
    assert generation > 0 and step < configs["sample.temperature=0.5"].train.max_steps
    if lost is not None:
        directory = list(again.values())[lost]
        (newest,) = directory.path.glob(f"state/generation_{generation:04d}_step_{step:08d}")
        shutil.rmtree(newest)
    resumed: list[tuple[int, int]] = []
    run_side_by_side(configs, again, measure_generation, Control(tell=lambda p: resumed.append((p.generation, p.step))))
    assert resumed[0] == (generation, step + 5 if lost is None else step)
    assert all(same(found[name], again[name], configs[name]) for name in configs)
