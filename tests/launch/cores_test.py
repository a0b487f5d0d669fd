import math

import pytest

from launch.cores import _quota, available_cores


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
    assert _quota(tmp_path / "groups", own) == expected
    assert _quota(tmp_path / "groups", tmp_path / "none") == math.inf


def test_there_is_at_least_one_core(monkeypatch):
    monkeypatch.setattr("launch.cores._quota", lambda *paths: 0.2)
    assert available_cores() == 1
