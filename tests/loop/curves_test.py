"""Training curves of whole runs: every evaluation of every cell and generation, however often the run was stopped."""

import contextlib
import dataclasses

import numpy as np
import pytest

from eval.measures.generation import measure_generation
from launch.configuration import resolve
from launch.facts import facts
from launch.presets import smoke
from loop.cell import Cell
from loop.config import Config
from loop.run import run
from loop.storage.curve_files import EVALUATION
from loop.storage.run_directory import RunDirectory
from loop.watch import Control, Stopped

pytestmark = pytest.mark.slow


def start(path, config: Config) -> RunDirectory:
    directory = RunDirectory(path)
    directory.create(dataclasses.asdict(config), "test", facts(config))
    return directory


def test_every_evaluation_of_every_cell_is_kept(finished_sweep):
    config, directory, _ = finished_sweep
    for t in range(3):
        curves = directory.read_curves(t)
        assert list(curves) == config.cells()
        for curve in curves.values():
            assert curve[:, EVALUATION.index("step")].tolist() == [10, 20]
            assert np.isfinite(curve).all()
    assert directory.read_curves(3) == {}


def test_the_best_evaluation_is_that_of_the_metrics(finished_sweep):
    _, directory, _ = finished_sweep
    assert directory.rows()
    for row in directory.rows():
        curve = directory.read_curves(row["generation"])[Cell.of(row)]
        best = dict(zip(EVALUATION, curve[np.argmin(curve[:, EVALUATION.index("validation_loss")])], strict=True))
        assert (best["train_loss"], best["validation_loss"]) == (row["train_loss"], row["validation_loss"])


def test_cells_of_equal_seed_have_one_curve_in_generation_0_alone(finished_sweep):
    _, directory, _ = finished_sweep
    different = [{(cell.seed, curve.tobytes()) for cell, curve in directory.read_curves(t).items()} for t in (0, 1)]
    assert [len(found) for found in different] == [2, len(directory.read_curves(1))]


def test_stopped_after_every_chunk_they_are_the_same(tmp_path):
    preset = smoke.get_config()
    preset.sweep.update(cycles=("full",), seeds=(0,))
    preset.loop.generations = 2
    config = resolve(preset)
    whole, stopped = start(tmp_path / "whole", config), start(tmp_path / "stopped", config)
    run(config, whole, measure_generation)
    starts, chunks = 0, []
    control = Control(tell=lambda p: chunks.append(p.step), stop=lambda: bool(chunks))
    ended = False
    while not ended:
        starts += 1
        assert starts < 20
        chunks.clear()
        with contextlib.suppress(Stopped):
            run(config, stopped, measure_generation, control)
            ended = True
    assert starts > 2
    times = ("train_seconds", "sample_seconds")
    ours, theirs = ([{k: v for k, v in r.items() if k not in times} for r in d.rows()] for d in (stopped, whole))
    assert ours == theirs
    for t in range(2):
        name = f"training/generation_{t:04d}.csv"
        assert (stopped.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_cell_that_fails_leaves_its_curve(tmp_path):
    preset = smoke.get_config()
    preset.train.update(learning_rate=1e30, grad_clip=1e30)
    preset.sweep.update(cycles=("full",), fresh_ratios=(0.0,), seeds=(0,))
    config = resolve(preset)
    directory = start(tmp_path / "run", config)
    run(config, directory, measure_generation)
    (row,) = directory.rows()
    (curve,) = directory.read_curves(0).values()
    assert row["status"] == f"loss not finite at step {curve[-1][0]:.0f}"
    assert not np.isfinite(curve[-1]).all()
