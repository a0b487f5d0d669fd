"""What make would do, of environments that are whole or not."""

import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def plan(folder):
    for path in [ROOT / "Makefile", *ROOT.glob("requirements*.txt")]:
        shutil.copy2(path, folder)
    told = ["make", "--dry-run", ".venv/installed"]
    return subprocess.run(told, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_an_environment_that_is_half_made_or_of_an_older_version_is_made_anew(tmp_path):
    interpreter = tmp_path / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()
    for _ in range(2):
        told = plan(tmp_path)
        assert (
            told.index("rm -rf .venv") < told.index("-m pip" if "-m pip" in told else "uv pip")
            and "-r requirements.txt" in told
        )
        (tmp_path / ".venv" / "installed").touch()  # as an older version left it


def test_a_whole_environment_is_left_alone(tmp_path):
    plan(tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "made").touch()
    time.sleep(0.02)
    (tmp_path / ".venv" / "installed").touch()
    assert "venv" not in plan(tmp_path).replace("'.venv/installed' is up to date", "")
