"""The loop, end to end, on the smoke preset."""

import csv
import dataclasses
import errno
import re
import shutil
import threading
import time

import jax
import numpy as np
import pytest

import loop.run
from eval.measures.generation import measure_generation
from launch.configuration import resolve
from launch.facts import facts
from launch.presets import smoke
from logic.errors import UsageError
from loop.blocks import Written, incoming_block, initial_training_set, next_training_set
from loop.cell import KEYS, Cell
from loop.config import Config
from loop.cycles import CYCLES
from loop.examples import Examples
from loop.run import run
from loop.storage.run_directory import RunDirectory
from loop.watch import Control, Stopped
from tests.columns import COLUMNS, SAMPLE_COLUMNS

COSTS = ("train_seconds", "sample_seconds")


pytestmark = pytest.mark.slow


def small(**sweep) -> Config:
    c = smoke.get_config()
    c.sweep.update(sweep)
    return resolve(c)


def start(path, c: Config) -> RunDirectory:
    directory = RunDirectory(path)
    directory.create(dataclasses.asdict(c), "test", facts(c))
    return directory


def results(directory: RunDirectory) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in COSTS} for row in directory.rows()]


def test_nothing_compiles_after_generation_0(finished_sweep):
    _, _, seen = finished_sweep
    assert seen[0][1] > 0
    after_first = [count for generation, count in seen if generation >= 1]
    assert len(set(after_first)) == 1, seen


def test_every_cell_and_generation_has_a_row(finished_sweep):
    config, directory, _ = finished_sweep
    with (directory.path / "metrics.csv").open() as f:
        table = list(csv.DictReader(f))
    assert tuple(table[0]) == COLUMNS
    keys = [Cell(r["cycle"], float(r["fresh_ratio"]), int(r["seed"])) for r in table]
    cells = config.cells()
    assert keys == cells * 3
    assert [int(r["generation"]) for r in table] == [g for g in range(3) for _ in cells]
    maybe = {"kl_depth", "tv_depth", "kl_length", "tv_length", "kl_root", "tv_root"}  # not without samples in support
    assert all(np.isfinite(float(r[c])) for r in table for c in COLUMNS if c not in KEYS and (c not in maybe or r[c]))
    assert directory.rows() == [
        {k: d[k] if d[k] is None and not v else type(d[k])(v) for k, v in r.items()}
        for r, d in zip(table, directory.rows(), strict=True)
    ]


def test_cells_of_equal_seed_share_generation_0(finished_sweep):
    _, directory, _ = finished_sweep
    first = [r for r in results(directory) if r["generation"] == 0]
    for seed in (0, 1):
        assert len({tuple(r[c] for c in (*SAMPLE_COLUMNS, "train_loss")) for r in first if r["seed"] == seed}) == 1
    assert len({r["train_loss"] for r in first}) == 2


def test_checkpoints_samples_and_training_sets_follow_the_algorithm(finished_sweep):
    config, directory, _ = finished_sweep
    assert directory.checkpoints() == [0, 1, 2]
    for cell in config.cells():
        blocks = [initial_training_set(config, cell.seed)]
        train = blocks[0]
        for t in range(3):
            stored, samples = directory.load(cell, t), directory.read_samples(cell, t)
            assert stored.training_set.expressions == train.expressions
            np.testing.assert_array_equal(stored.training_set.source, train.source)
            np.testing.assert_array_equal(stored.training_set.index, train.index)
            assert (samples.generation, samples.cell) == (t, cell)
            for name, verdict in config.language.verify(samples.expressions).items():
                np.testing.assert_array_equal(samples.verdicts[name], verdict)
            row = next(r for r in directory.rows() if r["generation"] == t and Cell.of(r) == cell)
            assert row["train_size"] == len(train) == config.train_size(cell.cycle, t)
            assert row["train_loss"] == stored.counters["train_loss"]
            assert row["steps"] == 20
            assert row["train_tokens"] == 20 * 16 * 16
            written = Examples.written(samples.expressions, t, train)
            np.testing.assert_array_equal(stored.training_set.root, train.root)
            blocks.append(incoming_block(config, cell, t, Written(written, samples.verdicts, samples.scores)))
            train = next_training_set(config, cell, t, train, blocks if CYCLES[cell.cycle].has_memory else blocks[-1:])


def test_a_finished_run_is_not_recomputed(finished_sweep):
    config, directory, _ = finished_sweep
    before = (directory.path / "metrics.csv").stat().st_mtime_ns
    run(
        config,
        RunDirectory(directory.path),
        measure_generation,
        Control(tell=lambda p: pytest.fail("a step was taken")),
    )
    assert (directory.path / "metrics.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize("complete", [1, 2])
def test_resumed_equals_uninterrupted(finished_sweep, tmp_path, complete):
    config, directory, _ = finished_sweep
    shutil.copytree(directory.path, tmp_path / "run")
    cut = RunDirectory(tmp_path / "run")
    cut.write_rows([r for r in cut.rows() if r["generation"] < complete])  # as if killed before the rest was measured
    run(config, cut, measure_generation)
    assert results(cut) == results(directory)
    for cell in config.cells():
        assert cut.read_samples(cell, 2).expressions == directory.read_samples(cell, 2).expressions
        jax.tree.map(np.testing.assert_array_equal, cut.load(cell, 2).params, directory.load(cell, 2).params)


def test_rows_that_were_lost_are_measured_again(finished_sweep, tmp_path):
    """A copy that was cut off between two lines."""
    config, directory, _ = finished_sweep
    cut = RunDirectory(shutil.copytree(directory.path, tmp_path / "run"))
    cut.write_rows(cut.rows()[:-2])
    said: list[str] = []
    run(config, cut, measure_generation, Control(warn=said.append, tell=lambda p: pytest.fail("a step was taken")))
    assert results(cut) == results(directory)
    assert len(said) == 1 and "lost rows: generation 2 is measured again" in said[0]


def test_what_is_computed_again_does_not_count_as_complete(finished_sweep, tmp_path):
    """Not even if the run ends before it has computed anything."""
    config, directory, _ = finished_sweep
    cut = RunDirectory(shutil.copytree(directory.path, tmp_path / "run"))
    cut.write_rows([row for row in cut.rows() if row["generation"] < 2])
    file = next(cut.samples_path(1).glob("*.array_record*"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Stopped):
        run(config, cut, measure_generation, Control(stop=lambda: True))
    assert {row["generation"] for row in cut.rows()} == {0}


def plant_another_past(config: Config, directory: RunDirectory, generation: int) -> None:
    """Samples and checkpoints that are whole and sealed, but of a run that went otherwise."""
    cells = config.cells()
    samples = {cell: directory.read_samples(cell, generation) for cell in cells}
    stored = {cell: directory.load(cell, generation) for cell in cells}
    odd = {
        cell: dataclasses.replace(s, training_set=s.training_set.take(np.arange(len(s.training_set))[::-1]))
        for cell, s in stored.items()
    }
    directory.save(generation, odd)
    directory.wait()
    directory.write_samples(generation, {cell: (s.expressions[::-1], s.verdicts) for cell, s in samples.items()})


def test_after_damage_nothing_of_another_past_is_taken(finished_sweep, tmp_path):
    """Generation 1 is damaged and computed again; the run is stopped, and what lies there of generation 2 is older."""
    config, directory, _ = finished_sweep
    cut = RunDirectory(shutil.copytree(directory.path, tmp_path / "run"))
    cut.write_rows([row for row in cut.rows() if row["generation"] < 2])
    plant_another_past(config, cut, 2)
    file = next(cut.samples_path(1).glob("*.array_record*"))
    file.write_bytes(file.read_bytes()[:-1])
    generations: list[int] = []
    with pytest.raises(Stopped):
        run(
            config,
            cut,
            measure_generation,
            Control(tell=lambda p: generations.append(p.generation), stop=lambda: 2 in generations),
        )
    run(config, cut, measure_generation, Control(tell=lambda p: generations.append(p.generation)))
    assert set(generations) == {1, 2}
    assert results(cut) == results(directory)
    for cell in config.cells():
        assert cut.read_samples(cell, 2).expressions == directory.read_samples(cell, 2).expressions
        assert cut.load(cell, 2).training_set == directory.load(cell, 2).training_set


def test_a_checkpoint_of_another_past_is_not_measured(finished_sweep, tmp_path):
    """As a kill between the writing of samples and checkpoint can leave them."""
    config, directory, _ = finished_sweep
    cut = RunDirectory(shutil.copytree(directory.path, tmp_path / "run"))
    cut.write_rows([row for row in cut.rows() if row["generation"] < 2])
    plant_another_past(config, cut, 2)
    said: list[str] = []
    run(config, cut, measure_generation, Control(warn=said.append))
    assert "is of another past" in said[0]
    assert results(cut) == results(directory)


def test_a_generation_with_a_wrong_number_is_refused(finished_sweep, tmp_path):
    config, directory, _ = finished_sweep
    cut = RunDirectory(shutil.copytree(directory.path, tmp_path / "run"))
    for row, wrong in ((0, 8), (1, 2), (-1, 1)):
        rows = directory.rows()
        rows[row]["generation"] = wrong
        cut.write_rows(rows)
        with pytest.raises(UsageError, match=r"metrics\.jsonl is damaged: generation"):
            run(config, cut, measure_generation)
        assert cut.rows() == rows


def test_a_failure_beside_the_training_ends_it_soon(tmp_path, monkeypatch):
    """And is what a run ends with that is stopped meanwhile: it has not saved everything."""
    c = small(cycles=("full",), fresh_ratios=(0.0,))
    failing = threading.Event()

    def full_disk(self, generation, samples):
        failing.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunDirectory, "write_samples", full_disk)
    steps: list[int] = []

    def tell(p):
        steps.append(p.generation)
        if p.generation:
            failing.wait(30)
            time.sleep(0.5)

    with pytest.raises(OSError, match="No space"):
        run(c, start(tmp_path / "run", c), measure_generation, Control(tell=tell))
    assert steps.count(1) == 1

    begun, release = threading.Event(), threading.Event()

    def slow_full_disk(self, generation, samples):
        begun.set()
        release.wait(30)
        raise OSError(errno.ENOSPC, "No space left on device")

    def stop() -> bool:
        if begun.is_set():
            threading.Timer(0.3, release.set).start()
        return begun.is_set()

    monkeypatch.setattr(RunDirectory, "write_samples", slow_full_disk)
    with pytest.raises(OSError, match="No space"):
        run(c, start(tmp_path / "stopped", c), measure_generation, Control(stop=stop))


def test_a_result_does_not_depend_on_the_other_cells(finished_sweep, tmp_path):
    config, directory, _ = finished_sweep
    sweep = dataclasses.replace(config.sweep, cycles=("full",), fresh_ratios=(0.5,), seeds=(1,))
    one = dataclasses.replace(config, sweep=sweep)
    alone = start(tmp_path / "alone", one)
    run(one, alone, measure_generation)
    for mine in results(alone):
        both = next(r for r in results(directory) if all(r[k] == mine[k] for k in KEYS))
        assert mine["train_loss"] == pytest.approx(both["train_loss"], rel=1e-3)
        assert mine["unique_fraction"] == pytest.approx(both["unique_fraction"], abs=0.1)


def test_infinite_loss_ends_the_cell_with_a_status(tmp_path):
    c = smoke.get_config()
    c.train.update(learning_rate=1e30, grad_clip=1e30)
    c.sweep.update(cycles=("full",), seeds=(0,))
    directory = start(tmp_path / "run", resolve(c))
    run(resolve(c), directory, measure_generation)
    rows = directory.rows()
    assert len(rows) == 2  # φ = 0 and 0.5
    assert all(re.fullmatch(r"loss not finite at step \d+", r["status"]) for r in rows)
    assert (directory.path / "metrics.csv").read_text() == ",".join(COLUMNS) + "\n"
    run(resolve(c), directory, measure_generation, Control(tell=lambda p: pytest.fail("an ended cell went on")))


def test_a_neighbour_of_an_ended_cell_goes_on(tmp_path, monkeypatch):
    c = small(cycles=("full", "fresh"), fresh_ratios=(0.0,))
    bad = c.cells()[0]
    real = loop.run.run_generation

    def with_a_failure(settings, ensemble, generation, *rest):
        outcomes = real(settings, ensemble, generation, *rest)
        if generation == 1:
            outcomes[bad] = dataclasses.replace(
                outcomes[bad], samples=Examples.drawn([], 1), status="loss not finite at step 7"
            )
        return outcomes

    monkeypatch.setattr(loop.run, "run_generation", with_a_failure)
    directory = start(tmp_path / "run", c)
    run(c, directory, measure_generation)
    ours = [(r["cycle"], r["generation"], r.get("status")) for r in directory.rows()]
    end = "loss not finite at step 7"
    assert ours == [("full", 0, None), ("fresh", 0, None), ("full", 1, end), ("fresh", 1, None), ("fresh", 2, None)]
    with pytest.raises(KeyError):
        directory.load(bad, 1)
    # Resumed after the failure, the cell stays ended.
    directory.write_rows([r for r in directory.rows() if r["generation"] < 2])
    run(c, directory, measure_generation)
    assert [(r["cycle"], r["generation"], r.get("status")) for r in directory.rows()] == ours
