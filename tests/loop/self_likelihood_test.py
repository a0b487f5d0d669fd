"""How likely models find samples, against the models read back from the checkpoints and asked one sample at a time."""

import dataclasses
import math
import shutil

import numpy as np
import pytest

from eval.loaded import likelihood, load_generation
from eval.measures.generation import measure_generation
from launch.configuration import resolve
from launch.facts import facts
from launch.presets import smoke
from loop.blocks import initial_training_set
from loop.cell import Cell
from loop.examples import Examples
from loop.learners import learner_of
from loop.learners.host import run_learner
from loop.run import run
from loop.self_likelihood import JUDGED, nats_per_symbol, num_judged
from loop.storage.run_directory import RunDirectory
from loop.watch import Control

COLUMNS = ("self_nll", "first_model_nll")


def test_symbols_are_counted_with_their_eos():
    nll = np.array([1.0, 2.0, 3.0], np.float32)
    assert nats_per_symbol(nll, [b"", b"\1\2", b"\1\2\3\4"], 4) == 6 / (1 + 3 + 4)  # the last one fills the context
    assert nats_per_symbol(np.array([np.inf, 1]), [b"", b""], 4) == math.inf
    assert (num_judged(7), num_judged(10_000)) == (7, JUDGED)


@pytest.mark.slow
def test_the_networks_are_those_of_the_checkpoints(finished_sweep):
    config, directory, _ = finished_sweep
    for t in (0, 2):
        for cell in config.cells()[:3]:
            row = next(r for r in directory.rows() if r["generation"] == t and Cell.of(r) == cell)
            samples = directory.read_samples(cell, t).expressions
            symbols = sum(min(len(e) + 1, config.model.context_length) for e in samples)
            for name, of in zip(COLUMNS, (t, 0), strict=True):
                nll = likelihood(load_generation(directory.path, cell, of), samples, cut=True)
                assert row[name] == pytest.approx(nll.sum(dtype=float) / symbols, rel=1e-5)
            assert (row["self_nll"] == row["first_model_nll"]) == (t == 0)


@pytest.mark.slow
def test_the_reference_learners_are_judged_on_the_host():
    preset = smoke.get_config()
    preset.sweep.update(cycles=("full",), fresh_ratios=(0.0,), seeds=(3,), learners=("memoriser", "ngram(order=3)"))
    config = resolve(preset)
    other = config.language.sample(64, np.random.default_rng(5))  # D_1: not all of it is in D_0
    train = Examples.written(other, 0, initial_training_set(config, 3))
    T = config.model.context_length
    for cell in config.cells():
        outcome = run_learner(config, cell, 1, train)
        written, found = outcome.samples.expressions, outcome.trained.counters
        symbols = sum(min(len(e) + 1, T) for e in written)
        for name, data in zip(COLUMNS, (other, initial_training_set(config, 3).expressions), strict=True):
            log = learner_of(cell.learner).learn(data, config.language, T).log_likelihood(written)
            if np.isfinite(log).all():
                assert found[name] == pytest.approx(-log.sum() / symbols)
            else:
                assert name not in found
        first = run_learner(config, cell, 0, initial_training_set(config, 3)).trained.counters
        assert first["self_nll"] == first["first_model_nll"]


@pytest.mark.slow
def test_generation_0_is_known_again_whatever_was_pruned(finished_sweep, tmp_path):
    config, directory, _ = finished_sweep
    cut = RunDirectory(shutil.copytree(directory.path, tmp_path / "run"))
    cut.prune("last")
    assert cut.checkpoints() == [0, 1, 2]
    cut.write_rows([row for row in cut.rows() if row["generation"] < 2])
    cut.remove_from(2)
    run(config, cut, measure_generation)
    for ours, theirs in zip(cut.rows(), directory.rows(), strict=True):
        assert [ours[name] for name in COLUMNS] == [theirs[name] for name in COLUMNS]


@pytest.mark.slow
def test_without_the_checkpoint_of_generation_0_only_its_column_is_missing(tmp_path):
    preset = smoke.get_config()
    preset.sweep.update(cycles=("full",), fresh_ratios=(0.0,), seeds=(0,))
    preset.loop.generations = 2
    config = resolve(preset)
    directory = RunDirectory(tmp_path / "run")
    directory.create(dataclasses.asdict(config), "test", facts(config))
    run(config, directory, measure_generation)
    whole = directory.rows()
    directory.write_rows(whole[:1])
    directory.remove_from(1)
    shutil.rmtree(directory.path / "checkpoints" / "0")
    said: list[str] = []
    run(config, directory, measure_generation, Control(warn=said.append))
    row = directory.rows()[1]
    assert row["self_nll"] == whole[1]["self_nll"] and "first_model_nll" not in row
    assert any("first_model_nll of full_fresh0_seed0 is left out" in line for line in said)
