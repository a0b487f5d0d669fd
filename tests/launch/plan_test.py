"""The plan of a sweep: the paper's numbers by hand, and what the command prints and refuses."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from launch.plan import Machine, of_largest_shard, plan, shards_that_fit, text
from launch.planning import devices
from launch.planning.estimates import disk, work
from logic.boolean.language import Boolean
from logic.errors import UsageError
from loop.config import Config, LoopConfig, SweepConfig
from loop.storage.checkpoints import NEWEST
from model.config import ModelConfig, SampleConfig
from tests import commands

ROOT = Path(__file__).resolve().parents[2]
PAPER = Config(model=ModelConfig(dtype="bfloat16"))
H200 = Machine(devices.named("h200"), 8, efficiency=0.4)


def test_the_papers_sweep_by_hand():
    p = plan(PAPER, H200)
    # Five cycles with four ratios each, and the control, of five seeds.
    assert p["cells"] == 5 * 4 * 5 + 5 == 105
    # Attention 4 w^2, MLP 8 w^2, two norms; embedding of 8, positions of 256, the last norm.
    assert p["parameters"] == 6 * (12 * 384**2 + 2 * 384) + 8 * 384 + 256 * 384 + 384 == 10_723_200
    assert p["tokens"] == 105 * 50 * 5_000 * 64 * 256 == 430_080_000_000
    # 2 operations per weight of a product and symbol, forward; 4 backward; attention: 2 products with 256 places.
    weights = 6 * 12 * 384**2 + 384 * 8
    per_token = 6 * weights + 3 * 6 * 2 * 2 * 256 * 384
    assert p["flops"]["train"] == pytest.approx(430_080_000_000 * per_token)
    # 20 evaluations of 20 batches of two splits, and 2,000 held-out expressions.
    evaluated = 20 * 2 * 20 * 64 * 256 + 2_000 * 256
    assert p["flops"]["evaluation"] == pytest.approx(105 * 50 * evaluated * per_token / 3)
    # Eight devices, the busiest with 14 cells, at 40 % of 989 T.
    seconds = 14 * (5_000 * 64 * 256 * per_token + evaluated * per_token / 3) / (0.4 * 989e12)
    assert p["seconds_per_generation"]["train"] == pytest.approx(seconds)
    assert 50 * seconds <= p["seconds"] < 1.2 * 50 * seconds  # sampling is little, measuring is hidden
    # Parameters, two moments, best ones: 16 bytes a parameter. `expanding` grows by 10,000 in each generation.
    assert p["memory_of_a_cell"]["state"] == 16 * 10_723_200
    assert p["memory_of_a_cell"]["data"] == 50 * 10_000 * (256 + 1 + 4)
    assert p["mesh"] == {"run": 8, "data": 1, "unused": 0}
    assert p["members"]["per_device"] == 14


def test_a_chunk_is_the_part_of_training_that_a_stop_waits_for():
    p = plan(PAPER, H200)
    assert p["chunk"]["steps"] == 250
    assert p["chunk"]["seconds"] == pytest.approx(p["seconds_per_generation"]["train"] / 20)
    assert "for 250 steps" in text(p)
    # One device with all cells, in groups: a chunk has the steps of all of them.
    alone = plan(PAPER, dataclasses.replace(H200, num_devices=1, members="10"))
    assert alone["members"]["groups"] == 11 and 7 < alone["chunk"]["seconds"] / p["chunk"]["seconds"] < 8
    uneven = dataclasses.replace(PAPER, train=dataclasses.replace(PAPER.train, max_steps=260))
    p = plan(uneven, H200)
    assert p["chunk"]["seconds"] == pytest.approx(p["seconds_per_generation"]["train"] / 2)
    short = dataclasses.replace(PAPER, train=dataclasses.replace(PAPER.train, max_steps=60, warmup_steps=10))
    assert plan(short, H200)["chunk"]["steps"] == 60


def test_a_batch_is_cut_where_it_does_not_fit_or_where_a_cpu_is_faster():
    p = plan(PAPER, H200)
    assert p["batch"] == {"windows": 64, "parts": 1, "windows_of_a_part": 64} and "64 windows, all at once" in text(p)
    own = dataclasses.replace(PAPER, train=dataclasses.replace(PAPER.train, micro_batch=16))
    cut = plan(own, dataclasses.replace(H200, mesh="2x2"))  # two devices share each batch
    assert cut["batch"] == {"windows": 64, "parts": 2, "windows_of_a_part": 16}
    assert cut["memory_of_a_cell"]["activations"] * 4 == p["memory_of_a_cell"]["activations"]
    # One cell whose samples take little, on a device with as little memory as lets it train in parts.
    few = dataclasses.replace(
        PAPER,
        sample=SampleConfig(batch_size=16),
        loop=LoopConfig(num_held_out=16),
        sweep=SweepConfig(cycles=("full",), fresh_ratios=(0.0,), seeds=(0,)),
    )
    small = dataclasses.replace(H200, num_devices=1, device=dataclasses.replace(H200.device, memory=5e9))
    p = plan(few, small)
    assert p["batch"]["parts"] > 1 and p["memory_of_a_device"]["fits"] and p["members"]["at_once"] == 1
    assert f"in {p['batch']['parts']} parts, {64 // p['batch']['parts']} at once on a device" in text(p)
    at_once = dataclasses.replace(few, train=dataclasses.replace(few.train, micro_batch=64))
    assert not plan(at_once, small)["memory_of_a_device"]["fits"]
    cpu = plan(few, Machine(devices.named("cpu"), 1, 0.4))
    assert cpu["batch"] == {"windows": 64, "parts": 32, "windows_of_a_part": 2}


@pytest.mark.parametrize("num_devices, hosts, cores", [(8, 1, 8), (8, 2, 4), (2, 4, 1)])
def test_on_a_cpu_each_host_measures_on_its_part_of_the_devices(num_devices, hosts, cores):
    cpu = Machine(devices.named("cpu"), num_devices, 0.4, hosts=hosts)
    took = plan(PAPER, cpu)["seconds_per_generation"]
    assert (took["hosts"], took["host_cores"]) == (hosts, cores)
    assert plan(PAPER, dataclasses.replace(H200, hosts=2))["seconds_per_generation"]["host_cores"] == 16


def test_sampling_by_hand():
    # To write a sample, the model reads an `<eos>` and all its symbols.
    config = Config(
        language=Boolean(1, 1),
        model=ModelConfig(1, 1, 4, 8),
        loop=LoopConfig(num_samples=100, num_examples=100),
        sweep=SweepConfig(cycles=("fresh",)),
    )
    lengths = np.array([len(e) for e in Boolean(1, 1).sample(20_000, np.random.default_rng(1))])
    w = work(config, accelerator=False)
    assert w.sample_symbols / 100 == pytest.approx((lengths + 1).mean(), rel=0.02)
    attended = np.array([sum(range(1, k + 2)) for k in lengths])
    by_hand = (lengths + 1) * (24 * 16 + 2 * 4 * 8) + attended * 4 * 4
    assert w.sample_flops / 100 == pytest.approx(by_hand.mean(), rel=0.02)
    # Five true expressions exist: ten pairs among the samples, ten in the training set.
    assert w.pairs == 2 * (len(set(Boolean(1, 1).sample(1_000, np.random.default_rng(2)))) * 4 / 2)


def test_what_remedies_take_by_hand():
    remedies = ("none", "negative(steps=7)", "guided(steps=9)|detector(oracle=True)", "surplexity(pool=2)", "edit")
    sweep = SweepConfig(cycles=("full",), fresh_ratios=(0.25,), seeds=(0, 1), remedies=remedies)
    small = dataclasses.replace(PAPER, loop=LoopConfig(generations=3, num_examples=1_000, num_samples=1_000))
    none = dataclasses.replace(small, sweep=dataclasses.replace(sweep, remedies=("none",)))
    plain, ours = work(none, True), work(dataclasses.replace(small, sweep=sweep), True)
    assert ours.train_flops / plain.train_flops == pytest.approx(1 + (7 + 9) / 5 / 5_000)
    assert ours.train_tokens == plain.train_tokens and ours.pairs == plain.pairs
    # Both copies learn from samples of their own; those of a guided cell are written by two models.
    for name in ("sample_symbols", "sample_flops", "sample_bytes"):
        assert getattr(ours, name) / getattr(plain, name) == pytest.approx(1 + (1 + 2) / 5)
    # Two samples' worth of room for every cell that scores, read at temperature 1 and as they are drawn, the latter by
    # two models as well where one guides; a quarter of a block is edited.
    read = (2 * (2 + 2) + 2 * 2) * 1_000 + 250
    forward = plain.evaluation_flops / (20 * 2 * 20 * 64 * 256 + 2_000 * 256)
    assert (ours.evaluation_flops - plain.evaluation_flops) / forward == pytest.approx(read * 256 / 5)


def test_what_stays_on_disk():
    every = {keep: disk(PAPER, keep) for keep in ("all", "last", "every:10")}
    assert every["all"].checkpoints == 50 * every["all"].checkpoint
    assert every["last"].checkpoints == (1 + NEWEST) * every["last"].checkpoint
    assert every["every:10"].checkpoints == (5 + NEWEST) * every["all"].checkpoint  # 0, 10 … 40, and 48, 49
    assert every["all"].checkpoint > 105 * 4 * 10_723_200
    assert every["all"].state == 5 * 105 * 16 * 10_723_200


@pytest.mark.parametrize("n, mesh", [(1, (1, 1)), (8, (8, 1)), (105, (105, 1)), (256, (105, 2))])
def test_mesh(n, mesh):
    p = plan(PAPER, dataclasses.replace(H200, num_devices=n))
    assert (p["mesh"]["run"], p["mesh"]["data"]) == mesh
    assert p["mesh"]["unused"] == n - mesh[0] * mesh[1]


def test_a_mesh_of_ones_own():
    p = plan(PAPER, dataclasses.replace(H200, mesh="2x4"))
    assert p["mesh"] == {"run": 2, "data": 4, "unused": 0}
    assert p["members"]["per_device"] == 53
    assert p["memory_of_a_cell"]["state"] == 4 * 10_723_200
    with pytest.raises(ValueError, match="mesh"):
        plan(PAPER, dataclasses.replace(H200, mesh="8x2"))


def test_more_devices_take_less_time_and_not_more_work():
    plans = [plan(PAPER, dataclasses.replace(H200, num_devices=n)) for n in (1, 5, 35, 105)]
    assert [p["flops"] for p in plans] == [plans[0]["flops"]] * 4
    times = [p["seconds_per_generation"]["train"] for p in plans]
    for time, cells in zip(times, (105, 21, 3, 1), strict=True):
        assert cells <= time / times[-1] * (1 + 1e-9) < 1.1 * cells  # groups of equal size may need padding


def test_nothing_assumed_is_called_measured():
    for device in devices.DEVICES.values():
        for suite in ("train", "sample"):
            share = devices.share_of_peak(device, suite, ModelConfig())
            measured = devices.MEASURED.get(device.name, {}).get(suite, {})
            assert share.source.startswith("measured") == (ModelConfig().width in measured)
    tiny = devices.share_of_peak(devices.named("cpu"), "train", ModelConfig(2, 2, 64))
    assert tiny.source.startswith("measured") and tiny.value == devices.MEASURED["cpu"]["train"][64]
    assert devices.share_of_peak(devices.named("cpu"), "train", ModelConfig(2, 2, 64), 0.1).source == "given"
    assert "assumed" in text(plan(PAPER, dataclasses.replace(H200, efficiency=None)))


@pytest.mark.parametrize(
    "kind, name",
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"),
        ("NVIDIA A10", "a10"),
        ("TPU v5 lite", "tpu-v5e"),
        ("TPU v5", "tpu-v5p"),
        ("TPU v6 lite", "tpu-v6e"),
        ("TPU v4", "tpu-v4"),
    ],
)
def test_jax_names_of_devices(kind, name):
    assert devices.of_kind(kind).name == name


@pytest.mark.parametrize("kind", ["NVIDIA A100X", "Quadro", "TPU v7", "NVIDIA A10G"])
def test_unknown_devices_are_not_taken_for_others(kind):
    with pytest.raises(UsageError, match="--device"):
        devices.of_kind(kind)


@pytest.mark.slow
def test_what_does_not_fit_is_said_with_the_remedy():
    many = dataclasses.replace(PAPER, sweep=SweepConfig(seeds=tuple(range(300))))  # 6,300 cells on eight devices
    p = plan(many, H200)
    assert not p["memory_of_a_device"]["fits"] and p["members"]["at_once"] == 0
    shards = p["memory_of_a_device"]["fits_in_shards"]
    assert f"--shards={shards} does" in text(p)
    assert plan(of_largest_shard(many, shards), H200)["memory_of_a_device"]["fits"]
    assert not plan(of_largest_shard(many, shards - 1), H200)["memory_of_a_device"]["fits"]
    small = dataclasses.replace(H200, device=dataclasses.replace(H200.device, memory=1e9))
    assert shards_that_fit(small, PAPER) is None and "not a single cell" in text(plan(PAPER, small))


def command(*args):
    return commands.run("launch.plan", *args)


@pytest.mark.slow
def test_the_command_prints_text_and_json():
    args = ("--config=launch/presets/smoke.py", "--device=cpu", "--num_devices=2")
    done = command(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "run 2 x data 1" in done.stdout and "measured" in done.stdout
    axes = "--config.sweep.axes=('model.width',(16,32))"
    rows = [json.loads(line) for line in command(*args, "--json", axes).stdout.splitlines()]
    assert [row["settings"] for row in rows] == [["model.width=16"], ["model.width=32"]]
    assert all(row["chunk"]["seconds"] > 0 for row in rows)
    assert rows[1]["parameters"] > 3 * rows[0]["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "flag, words",
    [
        ("--device=h300", "allowed are h200, h100"),
        ("--members=0", "integers from 1"),
        ("--efficiency=2", "up to 1"),
        ("--keep=some", "every:K"),
        ("--mesh=3x3", "there are 1"),
        ("--shards=9", "at most 5"),
        ("--config.model.width=15", "multiples of 4"),
        ("--config.sweep.learners=memoriser", "has no network"),
    ],
)
def test_mistakes_are_one_line(flag, words):
    done = command("--config=launch/presets/smoke.py", "--device=cpu", flag)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("launch.plan: ") and words in line


@pytest.mark.slow
def test_settings_side_by_side_are_planned_together():
    args = ("--config=launch/presets/smoke.py", "--device=cpu", "--num_devices=2", "--json")
    (alone,) = (json.loads(line) for line in command(*args).stdout.splitlines())
    axes = "--config.sweep.axes=('sample.temperature',(0.6,0.8,1.0))"
    (three,) = (json.loads(line) for line in command(*args, axes).stdout.splitlines())
    assert len(three["settings"]) == 3
    assert three["cells"] == 3 * alone["cells"] == 15
    assert three["tokens"] == 3 * alone["tokens"]
    assert three["disk"]["samples"] == 3 * alone["disk"]["samples"]
    assert three["seconds_per_generation"]["train"] == pytest.approx(8 / 3 * alone["seconds_per_generation"]["train"])
