import math

import pytest

from launch.resources import _limit, _share, available_cores, available_memory


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, math.inf),
        ({".": "max 100000", "a/b": "max 100000"}, math.inf),
        ({"a/b": "150000 100000"}, 1.5),
        ({"a": "50000 100000", "a/b": "400000 100000"}, 0.5),  # that of a parent holds for all within
        ({"a/c": "50000 100000"}, math.inf),  # another's
    ],
)
def test_the_least_quota_on_the_way_up_counts(limits, expected, tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    for group, text in limits.items():
        (tmp_path / "groups" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / group / "cpu.max").write_text(text + "\n")
    assert _limit("cpu.max", _share, tmp_path / "groups", own) == expected
    assert _limit("cpu.max", _share, tmp_path / "groups", tmp_path / "none") == math.inf


def test_there_is_at_least_one_core(monkeypatch):
    monkeypatch.setattr("launch.resources._limit", lambda *where: 0.2)
    assert available_cores() == 1


def test_memory_is_the_machines_or_what_a_job_may_take(monkeypatch, tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/job\n")
    monkeypatch.setattr("launch.resources._CGROUPS", tmp_path)
    monkeypatch.setattr("launch.resources._OWN", own)
    whole = available_memory()
    assert whole > 2**28
    (tmp_path / "job").mkdir()
    for text, expected in (("max", whole), ("268435456", 2**28)):
        (tmp_path / "job" / "memory.max").write_text(f"{text}\n")
        assert available_memory() == expected
