"""The study from its preset to its reports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from launch.configuration import settings
from launch.presets import study

ROOT = Path(__file__).parents[2]


def test_every_part_is_as_the_makefile_names_it():
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("STUDY :="))
    assert line.split()[2:] == list(study.PARTS)


@pytest.mark.parametrize("part", study.PARTS)
def test_every_part_is_a_sweep_and_its_tiny_form_has_the_same_axis(part):
    whole, tiny = (study.get_config(name) for name in (part, f"{part}-tiny"))
    assert [field for field, _ in whole.sweep.axes] == [field for field, _ in tiny.sweep.axes]
    for config in settings(whole).values():
        assert len(config.sweep.seeds) >= 3 and config.loop.generations >= 20
        assert any(cell.fresh_ratio == 1 for cell in config.cells())  # a control
    assert len(settings(tiny)) == min(2, len(settings(whole)))


@pytest.mark.parametrize("part", ["none", "grid-huge"])
def test_unknown_parts_are_refused_with_what_there_is(part):
    with pytest.raises(ValueError, match="allowed are grid, long"):
        study.get_config(part)


@pytest.mark.slow
def test_make_study_makes_the_reports_of_its_parts(tmp_path):
    """Of two; `make study SCALE=tiny` is the same with all, in some three minutes."""
    parts = ("temperature", "first_pool")
    for name in ("Makefile", "launch", "logic", "loop", "model", "eval"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    made = subprocess.run(
        [
            "make",
            "study",
            "SCALE=tiny",
            f"STUDY={' '.join(parts)}",
            f"BIN={Path(sys.executable).parent}",
            "-o",
            ".venv/installed",
        ],
        cwd=tmp_path,
        env=os.environ | {"MAKEFLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    for part in parts:
        report = tmp_path / "runs" / "study-tiny" / part / "report"
        groups = pd.read_csv(report / "summary_groups.csv")
        assert set(groups["verdict"]) and (groups["last_generation"] == 2).all()
        ((field, _),) = study.get_config(part).sweep.axes
        response = pd.read_csv(report / "response.csv")
        assert response.columns[0] == field and response[field].nunique() == 2
        assert (report / "response.png").stat().st_size > 10_000
