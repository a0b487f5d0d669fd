"""A configuration from JSON, YAML, or NumPy's numbers is the one that was meant."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from launch.configuration import defaults, resolve
from launch.presets import demo, paper, smoke
from launch.stored_configuration import get_config
from logic.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SIZES = ("cells", "generations", "parameters")  # what launch.plan does not estimate


@pytest.mark.parametrize("preset", [smoke, demo, paper])
def test_a_runs_own_configuration_comes_back(preset, tmp_path):
    config = resolve(preset.get_config())
    axes = dataclasses.replace(config.sweep, axes=(("sample.temperature", (0.6, 0.8)),))
    shard = dataclasses.replace(axes, shard=(0, 2))
    config, stored = (dataclasses.replace(config, sweep=sweep) for sweep in (axes, shard))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"config": dataclasses.asdict(stored), "devices": "1 x cpu"}))
    assert resolve(get_config(str(file))) == config


def test_yaml_of_some_fields(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("train: {learning_rate: 1e-3, grad_clip: 2}\nsweep:\n  seeds: [0, 7]\n  cycles: [full]\n")
    found, expected = resolve(get_config(str(file))), defaults()
    expected.train.update(learning_rate=1e-3, grad_clip=2.0)
    expected.sweep.update(seeds=(0, 7), cycles=("full",))
    assert found == resolve(expected)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "train: [", "is no YAML"),
        ("a.json", "{", "is no JSON"),
        ("a.json", "[1]", "groups of fields"),
        ("a.yaml", "trian: {max_steps: 3}", "trian: no such group"),
        ("a.yaml", "train: 3", "train: no such group"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(name, text, words, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=words) as error:
        get_config(str(tmp_path / name))
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


def test_numbers_of_numpy_are_numbers():
    config, plain = defaults(), defaults()
    config.train.learning_rate, plain.train.learning_rate = np.float64(0.5), 0.5
    config.train.grad_clip, plain.train.grad_clip = np.float32(0.25), 0.25
    config.model.width, plain.model.width = np.int64(48), 48
    config.sweep.update(seeds=np.arange(2), fresh_ratios=tuple(np.linspace(0, 0.5, 2)))
    plain.sweep.update(seeds=(0, 1), fresh_ratios=(0.0, 0.5))
    assert repr(resolve(config)) == repr(resolve(plain))
    config.sweep.seeds = range(3)
    assert resolve(config).sweep.seeds == (0, 1, 2)


def plan(*flags):
    command = [sys.executable, "-m", "launch.plan", "--json", *map(str, flags)]
    environment = {"PATH": "/usr/bin:/bin"}  # without PYTHONDONTWRITEBYTECODE
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


@pytest.mark.slow
def test_the_command_takes_such_files_with_overrides_and_leaves_nothing_beside_them(tmp_path):
    stored = {"config": dataclasses.asdict(resolve(smoke.get_config()))}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    (tmp_path / "mine.py").write_text((ROOT / "launch/presets/smoke.py").read_text())
    (tmp_path / "mine.txt").write_text("width 3")
    sizes = []
    for file in ("config.json", "mine.py"):
        done = plan(f"--config={tmp_path / file}", "--config.model.width=32")
        assert (done.returncode, done.stderr) == (0, "")
        sizes.append({name: value for name, value in json.loads(done.stdout).items() if name in SIZES})
    assert sizes[0] == sizes[1] and len(sizes[0]) == len(SIZES)
    for wrong in ("mine.txt", "mine.py:argument", "none.json"):
        done = plan(f"--config={tmp_path / wrong}")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and wrong in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "mine.py", "mine.txt"}
