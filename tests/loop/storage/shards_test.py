"""Shards: how cells are shared out, and that what is read of all shards is what a run in one go leaves."""

import concurrent.futures
import csv
import dataclasses
import json
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import pytest

from eval.loaded import cells, load_generation
from eval.measures.generation import measure_generation
from eval.report.build import build_report, read_run
from launch.cluster.shards import enter, of_shard, parse_shard, refuse_sharded, unfinished
from launch.configuration import resolve
from launch.presets.smoke import get_config
from logic.errors import UsageError
from loop.cell import Cell, split
from loop.run import run
from loop.storage.combine import combine_metrics
from loop.storage.run_directory import RunDirectory
from loop.storage.shards import ShardedRun, open_run
from loop.watch import Control
from tests.columns import COLUMNS


def smoke(**sweep):
    config = get_config()
    config.loop.generations = 2
    config.sweep.update(**sweep)
    return resolve(config)


def row(cell, generation, **more):
    return {**dict.fromkeys(COLUMNS, 0.5), **cell.keys, "generation": generation, **more}


# How cells are shared out.


@hypothesis.given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=1, max_size=40, unique=True), st.data()
)
def test_every_cell_is_in_one_share_and_shares_are_equal(keys, data):
    all_cells = [Cell(cycle, 0.5, seed) for cycle, seed in keys]
    count = data.draw(st.integers(1, len(all_cells)))
    shards = split(all_cells, count)
    assert len(shards) == count
    assert sorted(cell.name for shard in shards for cell in shard) == sorted(cell.name for cell in all_cells)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    for shard in shards:
        assert shard == [cell for cell in all_cells if cell in shard]  # in the order of the sweep
    # Generation 0 is computed once per seed and shard. Every border between two shards can cut one seed at most.
    first_generations = sum(len({cell.seed for cell in shard}) for shard in shards)
    assert first_generations <= len({cell.seed for cell in all_cells}) + count - 1


def test_seeds_stay_together_where_sizes_allow():
    sweep = smoke(seeds=(7, 3, 5), cycles=("full", "fresh"))
    for count in (1, 3):
        assert all(len({c.seed for c in shard}) == 3 // count for shard in split(sweep.all_cells(), count))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_configurations_of_all_shares_hold_all_cells(count):
    config = smoke()
    found = [cell for i in range(count) for cell in of_shard(config, (i, count)).cells()]
    assert sorted(found, key=config.cells().index) == config.cells()
    assert all(of_shard(config, (i, count)).all_cells() == config.cells() for i in range(count))


@pytest.mark.parametrize("text", ["", "1", "1/0", "2/2", "0/6", "-1/2", "a/b", "0/2/3", "0.5/2"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match=r"--shard = .*: allowed are I/N with 0 <= I < N <= 5, the number of cells"):
        parse_shard(text, smoke())
    assert parse_shard("4/5", smoke()) == (4, 5)


# A run in shards against one in one go.


def timeless(rows):
    return [{k: v for k, v in r.items() if not k.endswith("_seconds")} for r in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same sweep in one go, and in two shards, the second one first."""
    config = smoke(seeds=(0, 1), cycles=("full", "fresh"))
    assert len(config.cells()) == 6
    home = tmp_path_factory.mktemp("shards")
    whole, shared = RunDirectory(home / "local" / "run"), RunDirectory(home / "shared" / "run")
    whole.create(dataclasses.asdict(config), "1 x test")
    run(config, whole, measure_generation, Control(members="map"))
    for i in (1, 0):
        directory = enter(shared, config, {"": config}, (i, 2), "1 x test")
        directory.create(dataclasses.asdict(of_shard(config, (i, 2))), "1 x test")
        run(of_shard(config, (i, 2)), directory, measure_generation, Control(members="map"))
    return whole, open_run(shared.path)


@pytest.mark.slow
def test_all_rows_are_those_of_a_run_in_one_go(runs):
    local, shared = runs
    assert timeless(shared.rows()) == timeless(local.rows())
    combine_metrics(shared)
    assert RunDirectory(shared.path).rows() == shared.rows()
    tables = []
    for directory in runs:
        with (directory.path / "metrics.csv").open() as f:
            tables.append(timeless(csv.DictReader(f)))
    assert tables[0] == tables[1]
    assert len(tables[0]) == 12
    assert unfinished(RunDirectory(shared.path)) == {}


@pytest.mark.slow
def test_the_report_is_that_of_a_run_in_one_go(runs):
    for directory in runs:
        build_report([directory])
    for name in ("cells", "groups"):
        tables = [(directory.report / f"summary_{name}.csv").read_text().splitlines() for directory in runs]
        assert tables[0] == tables[1]
        assert len(tables[0]) > 2
    local, shared = ((d.report / "index.html").read_text() for d in runs)
    assert len(local) == pytest.approx(len(shared), rel=1e-3)  # times have other digits
    assert "2 generations" in shared


@pytest.mark.slow
def test_samples_checkpoints_and_anatomies_are_found_in_their_shares(runs):
    local, shared = runs
    assert cells(shared) == cells(local)
    assert shared.checkpoints() == [0, 1]
    assert shared.read_anatomy(1) == local.read_anatomy(1)
    assert list(shared.read_curves(1)) == list(local.read_curves(1)) == cells(local)
    assert not shared.has_samples(2)
    for cell in cells(local):
        assert shared.generations(cell) == [0, 1]
        assert shared.read_samples(cell, 1).expressions == local.read_samples(cell, 1).expressions
        one, other = (load_generation(d.path, cell.name, 1) for d in runs)
        assert one.counters.keys() == other.counters.keys()
        assert one.training_set.expressions == other.training_set.expressions
        assert timeless([one.row]) == timeless([other.row])
    with pytest.raises(UsageError, match="full_fresh0_seed9"):
        load_generation(shared.path, "full_fresh0_seed9", 1)
    with pytest.raises(KeyError):
        shared.load(Cell("full", 0.0, 9), 1)


# Shards that are not finished, of which rows are all that matters.


@pytest.fixture
def three(tmp_path):
    """Three shards of five cells and two generations: one finished, one half done, one not begun."""
    config = smoke()
    whole = RunDirectory(tmp_path / "run")
    for i, generations in enumerate([2, 1]):
        directory = enter(whole, config, {"": config}, (i, 3), "1 x test")
        shard = of_shard(config, (i, 3))
        directory.create(dataclasses.asdict(shard), "1 x test")
        directory.write_rows([row(cell, t) for t in range(generations) for cell in shard.cells()])
    return config, open_run(whole.path)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_what_is_there_of_an_unfinished_run_is_read_in_order(three):
    config, shared = three
    first, second = config.cells()[:1], config.cells()[1:3]
    expected = [(cell, 0) for cell in first + second] + [(cell, 1) for cell in first]
    assert [(Cell.of(r), r["generation"]) for r in shared.rows()] == expected
    assert unfinished(RunDirectory(shared.path)) == {1: "1 of 2 generations", 2: "0 of 2 generations"}
    state = read_run(shared).state
    assert state == ("not finished: of 3 shards, these are missing: 1 (1 of 2 generations), 2 (0 of 2 generations)")
    assert state in build_report([shared]).read_text()


def test_a_share_whose_cells_have_all_ended_is_finished(three):
    config, shared = three
    for i in (1, 2):
        ended = [{**c.keys, "generation": 1, "status": "loss not finite"} for c in of_shard(config, (i, 3)).cells()]
        shard = RunDirectory(shared.shards[i].path)
        shard.create(dataclasses.asdict(of_shard(config, (i, 3))), "1 x test")
        shard.write_rows(shard.rows() + ended)
    assert unfinished(RunDirectory(shared.path)) == {}
    assert [r["generation"] for r in shared.rows()] == [0] * 3 + [1] * 5


def test_another_number_of_shares_is_refused(three, tmp_path):
    config, shared = three
    whole = RunDirectory(shared.path)
    with pytest.raises(UsageError, match="holds a run in 3 shards, not 2"):
        enter(whole, config, {"": config}, (0, 2), "1 x test")
    with pytest.raises(UsageError, match=r"holds a run in 3 shards: give --shard=I/3"):
        refuse_sharded(whole)
    with pytest.raises(UsageError, match=r"train\.max_steps = \d+ there, 3 here"):
        other = dataclasses.replace(config, train=dataclasses.replace(config.train, max_steps=3, warmup_steps=1))
        enter(whole, other, {"": other}, (0, 3), "1 x test")
    longer = dataclasses.replace(config, loop=dataclasses.replace(config.loop, generations=3))
    with pytest.raises(UsageError, match="3 shards, not 2"):  # and is not extended on the way
        enter(whole, longer, {"": longer}, (0, 2), "1 x test")
    assert whole.config()["config"]["loop"]["generations"] == 2
    solo = RunDirectory(tmp_path / "solo")
    solo.create(dataclasses.asdict(config), "1 x test")
    solo.write_rows([row(config.cells()[0], 0)])
    refuse_sharded(solo)
    with pytest.raises(UsageError, match="not in shards"):
        enter(solo, config, {"": config}, (0, 2), "1 x test")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds no run"):
        enter(RunDirectory(tmp_path / "mine"), config, {"": config}, (0, 2), "1 x test")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_layout_that_cannot_be_read_is_named(three):
    _, shared = three
    (shared.path / "shards.json").write_text("{")
    with pytest.raises(UsageError, match=r"shards\.json cannot be read"):
        open_run(shared.path)


def test_the_settings_of_axes_have_shares_too(tmp_path):
    axes = (("model.width", (16, 32)),)
    config = smoke(axes=axes, cycles=("full",))
    parts = {
        f"model.width={width}": dataclasses.replace(
            smoke(cycles=("full",)), model=dataclasses.replace(config.model, width=width)
        )
        for width in (16, 32)
    }
    whole = RunDirectory(tmp_path / "run")
    for i in range(2):
        shard = enter(whole, config, parts, (i, 2), "1 x test")
        shard.create(dataclasses.asdict(of_shard(config, (i, 2))), "1 x test")
        for label, part in parts.items():
            directory = shard.setting(label)
            directory.create(dataclasses.asdict(of_shard(part, (i, 2))), "1 x test")
            if (i, label) != (1, "model.width=32"):
                cells_here = of_shard(part, (i, 2)).cells()
                directory.write_rows([row(c, t, steps=part.model.width) for t in range(2) for c in cells_here])
    shared = open_run(whole.path)
    assert unfinished(RunDirectory(shared.path)) == {1: "0 of 2 generations"}
    assert all(isinstance(part, ShardedRun) for part in shared.settings())
    combine_metrics(shared)
    keys = [(r["model.width"], r["generation"], r["fresh_ratio"]) for r in open_run(whole.path).rows()]
    assert keys == [(16, 0, 0.0), (16, 0, 0.5), (16, 1, 0.0), (16, 1, 0.5), (32, 0, 0.0), (32, 1, 0.0)]
    assert (whole.path / "model.width=16" / "metrics.csv").read_text().count("\n") == 5


# Several processes at once.

ENTER = """
import sys
sys.path.insert(0, ".")
from tests.loop.storage.shards_test import smoke
from loop.storage.run_directory import RunDirectory
from launch.cluster.shards import enter
config = smoke()
for n in range(8):
    enter(RunDirectory(f"{sys.argv[1]}/{n}"), config, {"": config}, (int(sys.argv[2]), 4), "1 x test")
"""

COMBINE = """
import sys
from loop.storage.combine import combine_metrics
from loop.storage.shards import open_run
for _ in range(40):
    combine_metrics(open_run(sys.argv[1]))
"""


def at_once(program, *arguments):
    """Runs a program several times side by side, and returns what each wrote to standard error."""

    def start(words):
        command = [sys.executable, "-c", program, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True).stderr

    with concurrent.futures.ThreadPoolExecutor(len(arguments)) as threads:
        return list(threads.map(start, arguments))


@pytest.mark.slow
def test_all_shares_may_begin_at_the_same_moment(tmp_path):
    assert at_once(ENTER, *[(tmp_path, i) for i in range(4)]) == [""] * 4
    for n in range(8):
        assert len(open_run(tmp_path / str(n)).shard_directories()) == 4
        assert sorted(path.name for path in (tmp_path / str(n)).iterdir()) == ["config.json", "shards.json"]
        assert json.loads((tmp_path / str(n) / "config.json").read_text())["config"]["sweep"]["shard"] is None


@pytest.mark.slow
def test_all_shares_may_write_the_table_at_the_same_moment(three):
    _, shared = three
    assert at_once(COMBINE, *[(shared.path,)] * 3) == [""] * 3
    assert RunDirectory(shared.path).rows() == shared.rows()
    assert not [path for path in shared.path.iterdir() if path.name.endswith(".tmp")]
