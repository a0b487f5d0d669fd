"""A finished run's models, asked again from their checkpoints."""

import dataclasses
import itertools
import json
import os
import shutil

import jax
import numpy as np
import pytest

from eval.analyze import Analysis, analyze, compare, describe, print_tables, read_expressions
from eval.loaded import Sampling, likelihood, load_generation, resample
from eval.measures.generation import measure_generation
from launch.configuration import resolve
from launch.facts import facts
from launch.presets import smoke
from logic.boolean.symbols import encode
from logic.errors import UsageError
from loop.blocks import held_out_expressions, initial_training_set
from loop.cell import Cell
from loop.run import run
from loop.storage.run_directory import RunDirectory
from loop.watch import Control
from model.transformer import forward
from tests import commands

CELL = "full_fresh0.5_seed1"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Three generations of eight small cells, by programs that are optimised like those they are compared with."""
    given = smoke.get_config()
    given.sweep.update(cycles=("full", "balanced"), seeds=(0, 1))
    given.loop.update(num_samples=100)
    given.sample.update(batch_size=32)  # the last batch is not full
    config = resolve(given)
    directory = RunDirectory(tmp_path_factory.mktemp("analysed") / "run")
    directory.create(dataclasses.asdict(config), "test", facts(config))
    run(config, directory, measure_generation, Control())
    return config, directory


@pytest.fixture(scope="module")
def loaded(finished):
    return load_generation(finished[1].path, CELL, 2)


def test_the_runs_own_samples_and_measures_come_out_again(finished):
    _, directory = finished
    rows = directory.rows()
    assert len(rows) == 24
    for row in rows:
        cell = Cell.of(row)
        loaded = load_generation(directory.path, cell, row["generation"])
        analysis = analyze(loaded)
        assert analysis.samples == directory.read_samples(cell, row["generation"]).expressions
        assert analysis.measures == {name: row[name] for name in analysis.measures}
        assert {"semantic_correctness", "levenshtein_diversity", "novelty", "kl_paired"} <= set(analysis.measures)
        assert analysis.record()["equal_to_run"] == 1


def test_a_generation_is_loaded_with_all_that_belongs_to_it(finished, loaded):
    config, directory = finished
    assert (loaded.model, loaded.sample, loaded.language) == (config.model, config.sample, config.language)
    assert loaded.cell == Cell("full", 0.5, 1)
    assert loaded.held_out == held_out_expressions(config)
    assert loaded.row["steps"] == loaded.counters["steps"] == 20
    assert len(loaded.samples.expressions) == len(loaded.samples.verdicts["semantic"]) == 100
    first = load_generation(str(directory.path), loaded.cell, 0)
    assert first.training_set.expressions == initial_training_set(config, 1).expressions


def test_settings_change_the_samples(loaded):
    own = resample(loaded)
    assert resample(loaded, Sampling(temperature=0.8, seed=1)) == own
    for how in (Sampling(temperature=1.0), Sampling(top_k=2), Sampling(top_p=0.5), Sampling(seed=7)):
        assert resample(loaded, how) != own
    assert len(resample(loaded, Sampling(num_samples=40))) == 40
    assert analyze(loaded, Sampling(seed=7)).record()["equal_to_run"] is None


def test_greedy_gives_one_expression(loaded):
    greedy = analyze(loaded, Sampling(temperature=0.0))
    assert len(set(greedy.samples)) == 1
    assert greedy.measures["levenshtein_diversity"] == 0
    assert set(resample(loaded, Sampling(top_k=1))) == set(greedy.samples)


def test_likelihood_is_the_chain_of_next_symbols(loaded):
    T = loaded.model.context_length
    next_symbol = jax.jit(lambda ids: forward(loaded.model, loaded.params, ids))
    full = "(" * T  # leaves no room for an end
    lines = ["True", "", "(True and (not False))", ") or", full]
    for e, value in zip(encode(lines), likelihood(loaded, encode(lines)), strict=True):
        symbols = [*e, 0][:T]
        read = np.zeros((1, T), int)
        read[0, 1 : len(symbols)] = symbols[:-1]
        log_p = np.asarray(jax.nn.log_softmax(next_symbol(read)))[0]
        assert value == pytest.approx(-sum(log_p[i, s] for i, s in enumerate(symbols)), rel=1e-4)
    assert likelihood(loaded, []).shape == (0,)
    with pytest.raises(ValueError, match="17 symbols"):
        likelihood(loaded, encode(["not " * 17]))
    with pytest.raises(ValueError, match="vocabulary"):
        likelihood(loaded, encode(["maybe"]))


def test_expressions_are_described_or_refused_with_their_line(loaded, tmp_path):
    path = tmp_path / "lines"
    path.write_text("(not  False)\n(True and\n\n")
    rows = describe(loaded, read_expressions(str(path), loaded.language, 16))
    assert [row["expression"] for row in rows] == ["(not False)", "(True and", ""]
    assert [row["in_support"] for row in rows] == [True, False, False]
    assert rows[0]["log_real"] == pytest.approx(float(loaded.language.log_probability(encode(["(not False)"]))[0]))
    assert rows[1]["log_real"] is None
    path.write_text("True\n(True andor False)\n")
    with pytest.raises(UsageError, match="line 2: 'andor' is no word"):
        read_expressions(str(path), loaded.language, 16)
    path.write_text("True\nTrue\n" + "(" * 17)
    with pytest.raises(UsageError, match="line 3: 17 symbols"):
        read_expressions(str(path), loaded.language, 16)


def test_a_generation_equals_itself_and_differs_from_another(finished, loaded):
    analysis = analyze(loaded)
    same = compare(analysis, analysis)
    assert set(same.pop("difference").values()) == {0}
    assert set(same.values()) == {0}
    other = analyze(load_generation(finished[1].path, CELL, 0))
    found, back = compare(analysis, other), compare(other, analysis)
    assert found["difference"]["real_nll"] != 0
    assert 0 < found["js_samples"] <= np.log(2)
    assert found["symmetric_kl"] > 3 * found["symmetric_kl_se"] > 0
    assert found["kl_to_compared"] == back["kl_from_compared"]
    assert found["difference"]["real_nll"] == -back["difference"]["real_nll"]


def test_the_distance_of_models_is_that_of_their_distributions(loaded):
    """All expressions of a short context can be counted."""
    model = dataclasses.replace(loaded.model, context_length=4)
    one = dataclasses.replace(loaded, model=model)
    params = jax.tree.map(lambda x: x * 1.2, loaded.params)
    other = dataclasses.replace(one, params=params)
    everything = [bytes(e) for n in range(5) for e in itertools.product(range(1, 8), repeat=n)]
    log_p, log_q = (-likelihood(m, everything).astype(float) for m in (one, other))
    exact = np.sum((np.exp(log_p) - np.exp(log_q)) * (log_p - log_q))
    how = Sampling(temperature=0.5, num_samples=20_000)  # the distance is at temperature 1 all the same
    found = compare(*(Analysis(m, how.of(m), [b""], {}) for m in (one, other)))
    assert abs(found["symmetric_kl"] - exact) < 4 * found["symmetric_kl_se"]
    assert found["symmetric_kl_se"] < exact / 5


@pytest.mark.parametrize(
    ("cell", "generation", "named"),
    [
        ("full_fresh0.5_sed1", 0, r"did you mean full_fresh0.5_seed1\? .* has full_fresh0_seed0, full_fresh0_seed1, "),
        (Cell("full", 0.25, 0), 0, "cell = full_fresh0.25_seed0"),
        (CELL, 3, "generation = 3: .* has 0 to 2$"),
        (CELL, -1, "generation = -1: .* has 0 to 2$"),
    ],
)
def test_what_is_not_there_is_named(finished, cell, generation, named):
    with pytest.raises(UsageError, match=named):
        load_generation(finished[1].path, cell, generation)


def test_lost_checkpoints_unfinished_runs_and_ended_cells_are_told_apart(finished, tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        load_generation(tmp_path, CELL, 0)
    path = tmp_path / "run"
    shutil.copytree(finished[1].path, path)
    shutil.rmtree(path / "checkpoints" / "1")
    with pytest.raises(UsageError, match=r"its checkpoint is gone; .* has 0, 2$"):
        load_generation(path, CELL, 1)
    shutil.rmtree(path / "checkpoints" / "2" / CELL)
    directory = RunDirectory(path)
    rows = [row for row in directory.rows() if (row["cycle"], row["fresh_ratio"], row["seed"]) != ("full", 0.5, 1)]
    ended = {"cycle": "full", "fresh_ratio": 0.5, "seed": 1, "generation": 2, "status": "loss not finite at step 7"}
    directory.write_rows([*rows, ended])
    with pytest.raises(UsageError, match="has 0 to 0; it ended in generation 2: loss not finite at step 7"):
        load_generation(path, CELL, 2)
    directory.write_rows([])
    with pytest.raises(UsageError, match="no generation is finished yet"):
        load_generation(path, CELL, 0)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        (Sampling(temperature=-1.0), "temperature = -1.0"),
        (Sampling(top_k=9), "top_k = 9"),
        (Sampling(top_p=0.0), "top_p = 0.0"),
        (Sampling(num_samples=-5), "num_samples = -5"),
        (Sampling(seed=-1), "seed = -1"),
    ],
)
def test_wrong_settings_are_refused(loaded, how, named):
    with pytest.raises(ValueError, match=named):
        resample(loaded, how)


def test_tables_show_what_the_json_holds(loaded, capsys):
    analysis = analyze(loaded)
    result = {**analysis.record(), "compared": analysis.record(), **compare(analysis, analysis)}
    print_tables({**result, "expressions": describe(loaded, encode(["(not False)"]))})
    shown = capsys.readouterr().out
    for words in (
        "levenshtein_diversity",
        f"{loaded.row['real_nll']:.5g}",
        "difference",
        "symmetric_kl",
        "(not False)",
    ):
        assert words in shown
    assert "100.00% of the samples are the run's own" in shown


def command(*flags, stdin=""):
    env = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}  # as the run was made
    return commands.run("eval.analyze", *flags, stdin=stdin, env=env)


def test_the_command_prints_one_json_object(finished):
    """In another process, with another number of devices than the run had."""
    workdir = finished[1].path
    flags = (f"--workdir={workdir}", "--generation=2", f"--cell={CELL}", "--expressions=-", "--compare=1")
    result = command(*flags, stdin="True\n(not False)\n")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found["equal_to_run"] == 1
    assert found["measures"] == found["run_measures"]
    assert [e["in_support"] for e in found["expressions"]] == [False, True]
    assert (found["compared"]["cell"], found["compared"]["generation"]) == (CELL, 1)
    assert found["sampling"] == {"temperature": 0.8, "top_k": 0, "top_p": 1.0, "num_samples": 100, "seed": 1}
    assert found["difference"]["real_nll"] == found["measures"]["real_nll"] - found["compared"]["measures"]["real_nll"]


def test_without_samples_only_likelihoods_are_asked(finished):
    workdir = finished[1].path
    flags = (f"--workdir={workdir}", "--generation=0", "--num_samples=0", f"--compare_workdir={workdir}")
    result = command(*flags, "--compare_cell=full_fresh0.5_seed0")
    found = json.loads(result.stdout)
    assert "full_fresh0_seed0, the first of" in result.stderr
    assert set(found["measures"]) == {"real_nll", "kl_from_real", "kl_from_real_se", "kl_paired", "kl_paired_se"}
    assert found["difference"] == {"real_nll": 0, "kl_from_real": 0, "kl_paired": 0}  # one model in generation 0
    assert found["equal_to_run"] is None
    assert "js_samples" not in found


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "--workdir"),
        (["--workdir={}"], "--generation is missing: of full_fresh0_seed0, there are 0, 1, 2"),
        (["--workdir={}", "--generation=2", "--cell=ful_fresh0_seed0"], "did you mean full_fresh0_seed0?"),
        (["--workdir={}", "--generation=2", f"--cell={CELL}", "--temperature=-1"], "temperature = -1"),
        (["--workdir={}", "--generation=2", f"--cell={CELL}", "--compare=9"], "has 0 to 2"),
        (["--workdir={}", "--generation=2", f"--cell={CELL}", "--expressions=none"], "cannot read file 'none'"),
    ],
)
def test_mistakes_get_one_line(finished, flags, named):
    result = command(*(flag.format(finished[1].path) for flag in flags))
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert named in result.stderr
