"""Remedies beside each other in one sweep, on the smoke preset: bits, compilations, kills, endings."""

import dataclasses
import shutil

import jax
import jax.monitoring
import numpy as np
import pytest

from eval.measures.generation import measure_generation
from launch.configuration import resolve
from launch.presets import smoke
from loop.cell import Cell
from loop.config import Config
from loop.remedies import REMEDIES
from loop.run import run
from loop.storage.run_directory import RunDirectory
from loop.watch import Control, Stopped

COSTS = ("train_seconds", "sample_seconds")
CHAINS = (
    "none",
    *(name for name in REMEDIES if name != "detector"),
    "detector(fill=others)",  # models this small write little that R could have drawn
    "verified|unique(copies=2)",
    "truncated|sampled(top_p=0.9)",
    "negative(weight=0)",
)


def config(remedies, **sweep) -> Config:
    c = smoke.get_config()
    c.loop.update(num_examples=48, num_samples=64)
    c.sweep.update({"cycles": ("full",), "fresh_ratios": (0.25,), "remedies": tuple(remedies)} | sweep)
    return resolve(c)


def finish(path, c: Config, control: Control = Control()) -> RunDirectory:
    directory = RunDirectory(path)
    directory.create(dataclasses.asdict(c), "test")
    run(c, directory, measure_generation, control)
    return directory


def results(directory: RunDirectory) -> dict[tuple, dict]:
    return {
        (Cell.of(row), row["generation"]): {k: v for k, v in row.items() if k not in COSTS} for row in directory.rows()
    }


SWEEP = config(CHAINS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of all remedies, and the number of compilations seen after each chunk of steps."""
    compilations, seen = [], []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("backend_compile_duration"):
            compilations.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    tell = Control(tell=lambda p: seen.append((p.generation, len(compilations))))
    directory = finish(tmp_path_factory.mktemp("remedies") / "run", SWEEP, tell)
    return directory, [*seen, (SWEEP.loop.generations, len(compilations))]


def test_all_remedies_are_one_program(finished):
    _, seen = finished
    assert seen[0][1] > 0
    assert len({count for generation, count in seen if generation >= 1}) == 1, seen


def test_every_cell_got_to_the_end(finished):
    directory, _ = finished
    rows = results(directory)
    assert {cell for cell, generation in rows if generation == 2} == set(SWEEP.cells())
    assert not [row for row in rows.values() if "status" in row]


def same_bits(one: RunDirectory, other: RunDirectory, cell: Cell, theirs: Cell, generations: int) -> None:
    for t in range(generations):
        assert one.read_samples(cell, t).expressions == other.read_samples(theirs, t).expressions
        a, b = one.load(cell, t), other.load(theirs, t)
        assert a.training_set == b.training_set
        jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
        np.testing.assert_array_equal(a.held_out_nll, b.held_out_nll)


def test_a_cell_without_remedy_has_the_same_bits_with_and_without_remedies_beside_it(finished, tmp_path):
    directory, _ = finished
    alone = config(["none"], seeds=(0, 1))  # one alone would be shared by two devices, which add in another order
    solo = finish(tmp_path / "alone", alone)
    together = results(directory)
    cell = alone.cells()[0]
    assert [row for (c, _), row in results(solo).items() if c == cell] == [together[cell, t] for t in range(3)]
    same_bits(solo, directory, cell, cell, 3)


def test_negative_without_weight_is_none(finished):
    directory, _ = finished
    cell = Cell("full", 0.25, 0, remedy="negative(weight=0)")
    same_bits(directory, directory, cell, Cell("full", 0.25, 0), 3)


def test_remedies_that_do_nothing_are_none(tmp_path):
    idle = ("none", "truncated(gamma=1)", "focal(gamma=0)", "sampled(temperature=0.8)")
    c = config(idle)
    assert c.sample.temperature == 0.8
    directory = finish(tmp_path / "run", c)
    for cell in c.cells()[1:]:
        same_bits(directory, directory, cell, c.cells()[0], 3)


@pytest.mark.parametrize("complete", [1, 2])
def test_resumed_equals_uninterrupted(finished, tmp_path, complete):
    directory, _ = finished
    cut = RunDirectory(shutil.copytree(directory.path, tmp_path / "run"))
    cut.write_rows([r for r in cut.rows() if r["generation"] < complete])
    if complete == 1:
        cut.remove_from(1)
    run(SWEEP, cut, measure_generation)
    assert results(cut) == results(directory)
    for cell in SWEEP.cells():
        same_bits(directory, cut, cell, cell, 3)


def test_stopped_within_a_generation_and_resumed_without_old_checkpoints(finished, tmp_path):
    """Scores of earlier generations are read from the samples, not made again from checkpoints that are gone."""
    directory, _ = finished
    steps: list[int] = []

    def stop() -> bool:
        return steps.count(2) >= 1

    last = Control(keep="last", tell=lambda p: steps.append(p.generation), stop=stop)
    with pytest.raises(Stopped):
        finish(tmp_path / "run", SWEEP, last)
    cut = RunDirectory(tmp_path / "run")
    run(SWEEP, cut, measure_generation, Control(keep="last"))
    assert results(cut) == results(directory)


def test_a_selection_that_leaves_too_few_ends_its_cell_and_stays_ended(tmp_path):
    c = config(["none", "verified(fill=end)"], fresh_ratios=(0.0,))
    directory = finish(tmp_path / "run", c)
    ours = [(r["remedy"], r["generation"], r.get("status")) for r in directory.rows()]
    end = ours[3][2]
    assert end and end.startswith("no training set: ") and end.endswith("samples are selected, the block takes 48")
    assert [row[:2] for row in ours] == [
        ("none", 0),
        ("verified(fill=end)", 0),
        ("none", 1),
        ("verified(fill=end)", 1),
        ("none", 2),
    ]
    for complete in (1, 2):
        directory.write_rows([r for r in directory.rows() if r["generation"] < complete])
        run(c, directory, measure_generation)
        assert [(r["remedy"], r["generation"], r.get("status")) for r in directory.rows()] == ours
