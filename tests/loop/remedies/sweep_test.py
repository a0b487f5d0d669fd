"""Remedies beside each other in one sweep, on the smoke preset: bits, compilations, kills, endings."""

import dataclasses
import shutil
from collections.abc import Sequence

import jax
import jax.monitoring
import numpy as np
import pytest

from eval.loaded import likelihood, load_generation, resample
from eval.measures.generation import measure_generation
from launch.configuration import resolve
from launch.presets import smoke
from logic.errors import UsageError
from loop.blocks import real_examples
from loop.cell import Cell
from loop.config import Config
from loop.examples import GENERATED, REAL
from loop.remedies import REMEDIES, remedies_of
from loop.run import run
from loop.storage.run_directory import RunDirectory
from loop.training.programs import Layout, Programs, build
from loop.watch import Control, Stopped
from model.likelihood import expression_nll, lay_out_expressions
from model.transformer import forward

COSTS = ("train_seconds", "sample_seconds")
ORACLE = "detector(oracle=True,fill=others)"  # models this small write little that R could have drawn
GUIDED = f"guided(weight=2,learning_rate=0.01)|{ORACLE}"
EDIT = "edit(threshold=0.1)"  # they are sure of nothing
CHAINS = (  # every remedy
    "none",
    "verified|unique(copies=2)",
    "depth_quota",
    "surplexity",
    "entropy_rate",
    "detector",
    "golden|truncated|sampled(top_p=0.9)",
    "focal",
    "negative",
    GUIDED,
    EDIT,
)
IDLE = {  # what changes nothing, and what it equals
    "truncated(gamma=1)": "none",
    "focal(gamma=0)": "none",
    "sampled(temperature=0.8)": "none",
    "negative(weight=0)": "none",
    "guided(weight=0)": "none",
    "edit(threshold=1)": "none",
    f"guided(weight=0)|{ORACLE}": ORACLE,
}


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


def cell_of(remedy: str) -> Cell:
    return Cell("full", 0.25, 0, remedy=remedy)


def results(directory: RunDirectory) -> dict[tuple, dict]:
    return {
        (Cell.of(row), row["generation"]): {k: v for k, v in row.items() if k not in COSTS} for row in directory.rows()
    }


SWEEP = config(dict.fromkeys((*CHAINS, *IDLE, *IDLE.values())))


@pytest.fixture(scope="module", autouse=True)
def traced_once():
    """Runs of one configuration share their programs: to trace and lower them takes most of a small run's time."""
    known: dict[tuple, Programs] = {}

    def build_once(c: Config, layout: Layout, arguments: Sequence[jax.Array]) -> Programs:
        if (c, layout) not in known:
            known[c, layout] = build(c, layout, arguments)
        return known[c, layout]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loop.training.ensemble.build", build_once)
        yield


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


def test_every_remedy_got_to_the_end(finished):
    directory, _ = finished
    rows = results(directory)
    assert {cell for cell, generation in rows if generation == 2} == set(SWEEP.cells())
    assert not [row for row in rows.values() if "status" in row]
    tried = {type(remedy) for cell in SWEEP.cells() for remedy in remedies_of(cell.remedy)}
    assert tried == set(REMEDIES.values())


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


@pytest.mark.parametrize("idle", IDLE)
def test_remedies_that_do_nothing_change_nothing(finished, idle):
    directory, _ = finished
    assert SWEEP.sample.temperature == 0.8
    same_bits(directory, directory, cell_of(idle), cell_of(IDLE[idle]), 3)


def test_a_perfect_verifier_leaves_nothing_false(finished):
    directory, _ = finished
    cell = cell_of("verified|unique(copies=2)")
    for t in (1, 2):
        train = directory.load(cell, t).training_set
        generated = [e for e, source in zip(train.expressions, train.source, strict=True) if source == GENERATED]
        assert len(generated) == 36 and SWEEP.language.verify(generated)["semantic"].all()
    written = directory.read_samples(cell, 1)
    assert written.verdicts["semantic"].mean() < 1


def test_a_guided_model_writes_otherwise_and_is_stored_as_it_was_trained(finished):
    directory, _ = finished
    none, guided = cell_of("none"), cell_of(GUIDED)
    a, b = directory.load(none, 0), directory.load(guided, 0)
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    np.testing.assert_array_equal(a.held_out_nll, b.held_out_nll)
    ours, plain = directory.read_samples(guided, 0), directory.read_samples(none, 0)
    assert ours.expressions != plain.expressions
    assert results(directory)[guided, 0]["extra_steps"] == 20
    # How probable it was that each was written is told of both models together.
    oracle = directory.read_samples(cell_of(ORACLE), 0)
    assert oracle.expressions == plain.expressions
    assert np.isfinite(ours.scores["written_nats_0"]).all()
    by_model = drawn_nll(SWEEP, b.params, ours.expressions)
    assert not np.allclose(ours.scores["written_nats_0"], by_model, rtol=1e-2)
    np.testing.assert_allclose(
        oracle.scores["written_nats_0"], drawn_nll(SWEEP, a.params, plain.expressions), rtol=1e-3
    )


def test_a_guided_model_is_asked_again_for_likelihoods_alone(finished):
    directory, _ = finished
    loaded = load_generation(directory.path, cell_of(GUIDED), 0)
    with pytest.raises(UsageError, match=r"^cell = \S+: a copy .* allowed are likelihoods alone: --num_samples=0$"):
        resample(loaded)
    np.testing.assert_allclose(likelihood(loaded, loaded.held_out, cut=True), loaded.held_out_nll, rtol=1e-4)


def drawn_nll(c: Config, params: dict, expressions: list[bytes]) -> np.ndarray:
    """-log M(e) of the model's own samples at the temperature of the run."""
    ids, length = lay_out_expressions(expressions, c.model.context_length)
    return np.asarray(expression_nll(c.model, params, ids, length, lambda logits: logits / c.sample.temperature))


def test_fresh_examples_are_edited_by_the_newest_model(finished):
    directory, _ = finished
    none, edit = cell_of("none"), cell_of(EDIT)
    for t in (0, 1):
        before = real_examples(SWEEP, 0, t + 1, 12).expressions
        train = directory.load(edit, t + 1).training_set
        after, root = train.expressions[36:], train.root[36:]
        assert (train.source[36:] == REAL).all() and (train.source[:36] == GENERATED).all()
        model, changed = directory.load(edit, t).params, 0
        read = np.array([[0, *e, *bytes(15 - len(e))] for e in before])
        p_NTV = np.asarray(jax.nn.softmax(jax.jit(forward, static_argnums=0)(SWEEP.model, model, read)))
        for e, f, p_TV, origin in zip(before, after, p_NTV, root, strict=True):
            assert len(e) == len(f) and origin == (-2 - t if e == f else t)
            for i in np.flatnonzero(np.frombuffer(e, np.uint8) != np.frombuffer(f, np.uint8)).tolist():
                assert p_TV[i, e[i]] > 0.0999
                changed += 1
        assert changed > 0
        row = results(directory)[edit, t]
        assert row["examples_edited"] == sum(e != f for e, f in zip(before, after, strict=True))
        broken = [f for f in after if not SWEEP.language.verify([f])["semantic"][0]]
        assert 0 < row["examples_broken"] == len(broken)
        assert directory.load(none, t + 1).training_set.expressions[36:] == before


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
