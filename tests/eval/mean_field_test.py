import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from eval.mean_field import expected_coverage, mean_fields, sentence, settings_of
from eval.measures.distribution import support_coverage
from eval.measures.diversity import levenshtein_diversity, sample_entropy
from eval.recursion import Real, Setting
from logic.boolean.language import Boolean
from loop.blocks import initial_training_set
from loop.cell import Cell
from loop.config import Config, LoopConfig, SweepConfig
from loop.learners.memoriser import Memoriser
from model.config import ModelConfig, SampleConfig
from tests import commands


def config(temperature, ratios=(0.0, 0.25, 0.5), cycles=("full",), seeds=(0,), generations=8, n=4_000) -> Config:
    return Config(
        language=Boolean(1, 2),
        model=ModelConfig(context_length=16),
        sample=SampleConfig(temperature=temperature),
        loop=LoopConfig(generations=generations, num_examples=n, num_samples=n),
        sweep=SweepConfig(cycles=cycles, fresh_ratios=ratios, seeds=seeds),
    )


def test_measures_are_those_of_many_samples():
    """Two generations of a memoriser with many samples, measured as any run's samples are."""
    n = 60_000
    c = config(0.7, (0.0,), generations=2, n=n)
    (result,) = mean_fields(c).values()
    grammar, rng = c.language, np.random.default_rng(0)
    data = initial_training_set(c, 0).expressions
    for row in result["generations"]:
        data = Memoriser().learn(data, grammar, 16).sample(n, rng, c.sample)
        counts = Counter(data)
        assert row["levenshtein_diversity"] == pytest.approx(levenshtein_diversity(counts), abs=0.01)
        assert row["sample_entropy"] == pytest.approx(sample_entropy(counts), abs=0.02)
        assert row["support_coverage"] == pytest.approx(
            support_coverage(np.array(grammar.log_probability(list(counts)))), abs=0.01
        )
    first, second = result["generations"]
    assert first["kl_from_real"] == 0
    assert second["kl_from_real"] > 0.01


def test_kl_is_that_of_the_training_set():
    c = config(0.7, (0.25,), generations=2)
    (result,) = mean_fields(c).values()
    real = Real.of(c)
    p, s = np.exp(real.log_p_U), np.exp(real.tree.sharpen(real.log_p_U, c.sample))
    assert result["generations"][1]["kl_from_real"] == pytest.approx(np.sum(p * np.log(p / (0.75 * s + 0.25 * p))))


def test_coverage_is_an_expectation_over_samples():
    c = config(0.6)
    real, n = Real.of(c), 60
    p = np.exp(real.log_p_U)
    rng = np.random.default_rng(0)
    values = [p[np.unique(rng.choice(len(p), n, p=p))].sum() for _ in range(500)]
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert abs(np.mean(values) - expected_coverage(real, real.log_p_U, n)) < 4 * error
    certain = np.where(np.arange(len(p)) == 0, 0.0, -np.inf)
    assert expected_coverage(real, certain, n) == pytest.approx(p[0])


def test_temperature_one_loses_nothing():
    for setting, result in mean_fields(config(1.0)).items():
        rows = [*result["generations"], result["fixed_point"]]
        assert len({round(row["levenshtein_diversity"], 9) for row in rows}) == 1
        assert max(row["kl_from_real"] for row in rows) < 1e-9
        assert result["close_from"] == 0
        assert setting.sample.temperature == 1


def test_curves_run_into_the_fixed_point_and_say_when():
    found = mean_fields(config(0.6, generations=30))
    limits = []
    for result in found.values():
        curve = [row["levenshtein_diversity"] for row in result["generations"]]
        limit, since = result["fixed_point"]["levenshtein_diversity"], result["close_from"]
        apart = np.abs(np.array(curve) - limit) / 0.506236  # the diversity of R
        assert (apart[since:] <= 0.01).all()
        assert apart[since - 1] > 0.01
        limits.append(limit)
    assert limits == sorted(limits)  # the more fresh data, the more diversity is kept
    fresh = mean_fields(config(0.6, (1.0,), ("full", "fresh")))
    assert {round(r["fixed_point"]["levenshtein_diversity"], 9) for r in fresh.values()} == {
        round(r["generations"][-1]["levenshtein_diversity"], 9) for r in fresh.values()
    }


def test_slow_cycles_say_that_they_are_not_there():
    (result,) = mean_fields(config(0.6, (0.5,), ("expanding",))).values()
    assert result["close_from"] is None


def test_first_data_are_those_of_the_cells():
    c = config(0.6, (0.25,), seeds=(3, 4))
    (result,) = mean_fields(c).values()
    values = result["from_first_data"]
    assert list(values) == [3, 4]
    assert all(value < result["fixed_point"]["levenshtein_diversity"] - 0.05 for value in values.values())
    # A memoriser that goes on for long ends where its first data lead to, about.
    data, rng = initial_training_set(c, 3).expressions, np.random.default_rng(0)
    for t in range(25):
        samples = Memoriser().learn(data, c.language, 16).sample(4_000, rng, c.sample)
        data = samples[:3_000] + c.language.sample(1_000, np.random.default_rng([1, t]))
    assert levenshtein_diversity(Counter(samples)) == pytest.approx(np.mean(list(values.values())), abs=0.06)


def test_settings_are_those_of_the_sweep_once():
    c = config(0.6, (0.0, 0.5), ("full", "incremental", "fresh"), seeds=(0, 1, 2))
    assert [(s.cycle, s.fresh_ratio, s.renewal_share) for s in settings_of(c)] == [
        ("full", 0.0, 1.0),
        ("full", 0.5, 1.0),
        ("incremental", 0.0, 0.5),
        ("incremental", 0.5, 0.5),
        ("fresh", 1.0, 1.0),
    ]
    assert Cell("fresh", 1.0, 0) in c.cells()


def test_sentence_is_one_line():
    setting = Setting("full", 0.25, SampleConfig(temperature=0.6))
    row = {"levenshtein_diversity": 0.5}
    result = {"generations": [row, row], "fixed_point": row, "close_from": None, "from_first_data": {0: 0.25}}
    assert sentence(setting, result) == (
        "full, fresh 0.25, temperature 0.6: diversity 0.500 at generation 0, 0.500 at 1, 0.500 at the fixed point "
        "(not within 200 generations); from the seeds' first data 0.250"
    )


def run(*flags):
    return commands.run("eval.mean_field", *flags)


@pytest.mark.slow
def test_command_prints_json_lines_for_every_axis_and_cell():
    done = run(
        "--config=launch/presets/demo.py",
        "--config.sweep.axes=(('sample.temperature',(0.6,0.8)),)",
        "--config.sweep.cycles=full",
        "--config.sweep.fresh_ratios=0.5",
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["temperature"], row["cycle"], row["fresh_ratio"]) for row in rows] == [
        (0.6, "full", 0.5),
        (0.8, "full", 0.5),
    ]
    assert [len(row["generations"]) for row in rows] == [8, 8]
    assert rows[0]["fixed_point"]["levenshtein_diversity"] < rows[1]["fixed_point"]["levenshtein_diversity"]
    assert sum(line.startswith("full, fresh 0.5") for line in done.stderr.splitlines()) == 2


def test_command_prints_null_for_infinity_and_refuses_in_one_line():
    done = run("--config=launch/presets/demo.py", "--config.sample.top_k=1", "--config.sweep.fresh_ratios=0")
    assert json.loads(done.stdout.splitlines()[0])["generations"][1]["kl_from_real"] is None
    for flags in (["--config=launch/presets/demo.py", "--config.language.max_depth=5"], []):
        refused = run(*flags)
        assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1)


def test_does_not_import_jax():
    code = "import sys, eval.mean_field, loop.learners; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
