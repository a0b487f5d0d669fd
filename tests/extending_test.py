"""The files of docs/extending.md, as they stand there: each is run in a sweep, report included."""

import dataclasses
import re
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest

from eval.analyze import analyze
from eval.loaded import load_generation
from eval.measures import registry
from eval.measures.generation import measure_generation
from eval.measures.measure import Measure
from eval.report.build import build_report
from launch.configuration import defaults, resolve
from launch.facts import facts
from launch.presets import smoke
from logic import languages
from loop import cycles, remedies
from loop.cell import Cell
from loop.examples import GENERATED
from loop.run import run
from loop.storage.run_directory import RunDirectory
from model import models
from model.config import ModelConfig, SampleConfig
from model.sampling import sampler

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = {m[1]: m[2] for m in re.finditer(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.S)}


@pytest.fixture
def load(monkeypatch):
    """Makes a module of one of the page's files."""

    def load(path: str) -> types.ModuleType:
        name = path.removesuffix(".py").replace("/", ".")
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(FILES[path], path, "exec"), module.__dict__)
        return module

    return load


def config(**groups):
    c = smoke.get_config()
    c.loop.generations = 2
    c.sweep.update(cycles=("full",), fresh_ratios=(0.5,))
    for group, fields in groups.items():
        c[group].update(fields)
    return c


def sweep(c, path: Path) -> RunDirectory:
    """Runs a sweep to its report."""
    resolved = resolve(c)
    directory = RunDirectory(path)
    directory.create(dataclasses.asdict(resolved), "test", facts(resolved))
    run(resolved, directory, measure_generation)
    assert "</html>" in build_report([directory]).read_text()
    return directory


def test_all_files_of_the_page_are_run():
    assert set(FILES) == {
        "loop/cycles/anchored.py",
        "loop/remedies/longest.py",
        "logic/dyck.py",
        "eval/measures/repeats.py",
        "model/gru.py",
    }
    for path, text in FILES.items():
        assert all(len(line) <= 120 for line in text.splitlines()), path


@pytest.mark.slow
def test_a_cycle(load, monkeypatch, tmp_path):
    anchored = load("loop/cycles/anchored.py").Anchored()
    monkeypatch.setitem(cycles.CYCLES, anchored.name, anchored)
    directory = sweep(config(sweep={"cycles": ("anchored", "fresh")}), tmp_path / "run")
    train = directory.load(Cell("anchored", 0.5, 0), 1).training_set
    first = directory.load(Cell("anchored", 0.5, 0), 0).training_set
    assert len(train) == len(first)
    assert set(train.expressions[:32]) <= set(first.expressions)
    assert (train.generation[:32] == 0).all() and (train.source[:32] == 0).all()


@pytest.mark.slow
def test_a_remedy(load, monkeypatch, tmp_path):
    longest = load("loop/remedies/longest.py").Longest
    monkeypatch.setitem(remedies.REMEDIES, "longest", longest)
    directory = sweep(config(sweep={"remedies": ("none", "longest(share=0.25)")}), tmp_path / "run")
    plain, cell = (Cell("full", 0.5, 0, remedy=spelling) for spelling in ("none", "longest(share=0.25)"))
    written = sorted(map(len, directory.read_samples(cell, 0).expressions), reverse=True)
    train = directory.load(cell, 1).training_set
    chosen = [len(e) for e, source in zip(train.expressions, train.source, strict=True) if source == GENERATED]
    assert min(chosen) >= written[len(written) // 4 - 1]
    assert directory.read_samples(plain, 0).expressions == directory.read_samples(cell, 0).expressions
    assert "longest" in (directory.report / "leaderboard.csv").read_text()


@pytest.mark.slow
def test_a_language_with_its_measures_and_report(load, monkeypatch, tmp_path):
    dyck = load("logic/dyck.py").Dyck
    monkeypatch.setitem(languages.LANGUAGES, "dyck", dyck)
    c = config(sweep={"learners": ("transformer", "memoriser")})
    c.language = defaults().language.copy_and_resolve_references()
    for name in list(c.language):
        del c.language[name]
    c.language.update(name="dyck", max_pairs=4)
    directory = sweep(c, tmp_path / "run")
    row = directory.rows()[0]
    assert {"balanced", "in_support", "outside_balance", "kl_paired", "tv_length"} <= set(row)
    assert not {"semantic_correctness", "depth_mean", "kl_root"} & set(row)
    assert directory.config()["config"]["model"]["vocab_size"] == 3
    loaded = load_generation(directory.path, "full_fresh0.5_seed0", 1)
    found = analyze(loaded).record()
    assert found["equal_to_run"] == 1.0
    assert found["measures"]["balanced"] == directory.rows()[2]["balanced"]


def test_the_language_is_exact(load):
    language = load("logic/dyck.py").Dyck(4)
    rng = np.random.default_rng(0)
    draws = language.sample(20_000, rng)
    assert language.verify(draws)["in_support"].all()
    log_p = language.log_probability(draws)
    distinct = list(set(draws))
    assert len(distinct) == 1 + 2 + 5 + 14
    assert np.exp(language.log_probability(distinct)).sum() == pytest.approx(1)
    assert -log_p.mean() == pytest.approx(language.entropy, abs=5 * log_p.std() / len(draws) ** 0.5)
    longest = [e for e in draws if len(e) == 8]
    counts = np.unique([e.hex() for e in longest], return_counts=True)[1]
    assert ((counts - len(longest) / 14) ** 2 / (len(longest) / 14)).sum() < 40  # chi-square, 13 degrees of freedom
    text = language.decode(draws[:5])
    assert language.encode(text) == draws[:5]


@pytest.mark.slow
def test_a_measure(load, monkeypatch, tmp_path):
    repeats = load("eval/measures/repeats.py").REPEATS
    assert isinstance(repeats, Measure)
    monkeypatch.setattr(registry, "MEASURES", (*registry.MEASURES, repeats))
    directory = sweep(config(), tmp_path / "run")
    assert all(0 <= row["repeats"] < 1 for row in directory.rows())
    assert "repeats of the sample before" in (directory.report / "index.html").read_text()


@pytest.mark.slow
def test_a_model(load, monkeypatch, tmp_path):
    gru = load("model/gru.py")
    model = models.Model(gru.init_params, gru.forward, gru.init_cache, gru.forward_cached)
    monkeypatch.setitem(models.MODELS, "gru", model)
    directory = sweep(config(model={"architecture": "gru"}), tmp_path / "run")
    assert directory.load(Cell("full", 0.5, 0), 1).params["gates"].shape == (32, 32)
    tiny = ModelConfig(width=8, num_heads=2, context_length=6, vocab_size=5, architecture="gru")
    params = gru.init_params(tiny, jax.random.key(0))
    ids_NT = jax.jit(sampler(tiny, SampleConfig(temperature=0.0), 3))(params, jax.random.key(1))
    read = np.concatenate([np.zeros((1, 1), int), np.asarray(ids_NT[:1])], axis=1)
    greedy = np.asarray(jax.jit(gru.forward, static_argnums=0)(tiny, params, read)).argmax(-1)[0]
    written = int((np.asarray(ids_NT[0]) != 0).sum())
    assert greedy[:written].tolist() == np.asarray(ids_NT[0])[:written].tolist()  # cached equals the whole pass


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match=r"model\.architecture = gru: allowed are transformer"):
        models.model_of(ModelConfig(architecture="gru"))
