"""A run of version 0.1.0, from before runs recorded their columns: two cells, two generations, made by that code."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from eval.analyze import analyze
from eval.loaded import Sampling, load_generation
from eval.measures import registry
from eval.measures.measure import WRITES, Measure
from eval.measures.observation import Observation
from eval.report.build import build_report, read_run
from loop.examples import Examples
from loop.storage.run_directory import RunDirectory
from loop.storage.shards import open_run

ARCHIVE = Path(__file__).parents[1] / "data" / "run_0_1_0.tar.gz"
CELL = "full_fresh0_seed0"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "small"


@pytest.fixture
def old(unpacked, tmp_path):
    return shutil.copytree(unpacked, tmp_path / "run")


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.*") if path.is_file()}


def test_its_metrics_survive_a_repair(old):
    before = files(old)
    RunDirectory(old).repair(pytest.fail)
    assert files(old) == before
    assert len(open_run(old).rows()) == 4 and "columns" not in open_run(old).config()


def test_its_metrics_survive_measures_that_were_renamed_or_removed(old, monkeypatch):
    """Then and now have different measures: neither the rows nor what is measured now gets lost."""
    monkeypatch.setattr(registry, "MEASURES", registry.MEASURES[5:])
    before, directory = files(old), RunDirectory(old)
    directory.repair(pytest.fail)
    assert files(old) == before
    rows = directory.rows()
    directory.write_rows([*rows, {**rows[-1], "generation": 2, "new": 0.5}])
    directory.repair(pytest.fail)
    assert directory.rows()[:-1] == rows and directory.rows()[-1]["new"] == 0.5
    header, first, *_, last = (old / "metrics.csv").read_text().splitlines()
    assert header == before["metrics.csv"].decode().splitlines()[0] + ",new"
    assert first.endswith(",") and last.endswith(",0.5")


def test_a_cut_line_of_it_is_dropped_with_its_generation(old):
    path = old / "metrics.jsonl"
    warnings: list[str] = []
    path.write_bytes(path.read_bytes()[:-9])
    RunDirectory(old).repair(warnings.append)
    assert [row["generation"] for row in open_run(old).rows()] == [0, 0]
    assert len(warnings) == 1 and "generation 1 is measured again" in warnings[0]


@pytest.mark.slow
def test_its_report_is_built(old):
    page = build_report([open_run(old)]).read_text(encoding="utf-8")
    metrics = read_run(open_run(old)).metrics
    assert "2 generations" in page
    recorded = list(open_run(old).rows()[0])
    assert list(metrics)[: len(recorded)] == recorded  # what it did not have comes after
    data = json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])
    assert {m["name"] for m in data["measures"]} <= set(metrics)
    assert all(m["group"] != "Other" for m in data["measures"])


@pytest.mark.slow
def test_its_generations_are_analysed(old, monkeypatch):
    new = Measure("first_length", lambda o: float(len(o.expressions[0])), "first", WRITES, "symbols", "length of one")
    monkeypatch.setattr(registry, "MEASURES", (*registry.MEASURES, new))
    analysis = analyze(load_generation(old, CELL, 1), Sampling(num_samples=40))
    record = analysis.record()
    assert record["measures"]["first_length"] == len(analysis.samples[0])
    assert "first_length" not in record["run_measures"]
    # Losses in other programs, or on another machine, differ in their last digits.
    for name in ("real_nll", "kl_paired", "kl_from_real"):
        assert record["measures"][name] == pytest.approx(record["run_measures"][name], rel=1e-3)
    assert 0 <= record["measures"]["levenshtein_diversity"] <= 1
    assert record["measures"]["train_size"] == record["run_measures"]["train_size"]


def test_its_samples_are_measured_to_the_same_digits(old):
    loaded = load_generation(old, CELL, 1)
    language = loaded.language
    written = loaded.samples.expressions
    samples = Examples.written(written, 1, loaded.training_set)
    row = registry.measure(Observation(language, samples, language.verify(written), loaded.training_set))
    assert len(row) > 20
    assert row == {name: loaded.row[name] for name in row}
