"""A sweep that is killed and stopped again and again ends with the same bits; tests/stress does more of it."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from loop.storage.run_directory import RunDirectory
from tests.compilation import as_users
from tests.stress.outputs import differences
from tests.stress.sweep import CELLS, AtOperation, Start, Sweep, lost

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep, and an uninterrupted run of it; here all programs are compiled as users have them."""
    folder = tmp_path_factory.mktemp("whole")
    sweep = Sweep(cache=Path(os.environ["JAX_COMPILATION_CACHE_DIR"]), generations=3)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in as_users().items():
            patch.setenv(name, value)
        with Start(sweep, folder / "run") as start:
            assert start.end() == 0, start.stderr()
            assert lost(start, CELLS) == []
            assert start.progress() == [(t, step) for t in range(3) for step in (10, 20, 30)]
        yield sweep, start.directory


def test_killed_and_stopped_it_ends_with_the_same_bits(whole, tmp_path):
    sweep, reference = whole
    workdir = tmp_path / "run"
    # In the order of the run: each start goes on where the one before was killed.
    deaths = [
        AtOperation("/run/state/", 40, delay=0.01),  # while C++ writes the second state
        AtOperation("/run/checkpoints/", 12),
        AtOperation(r"/run/\.metrics\.jsonl", 2),  # all is written but the rows: the next start measures anew
    ]
    for death in deaths:
        with Start(sweep, workdir, death) as start:
            assert start.end() == -signal.SIGKILL, (death, start.stderr())
            assert lost(start, CELLS) == []
    with Start(sweep, workdir) as start:  # at no chosen operation
        assert start.wait_for(lines=1)
        time.sleep(0.05)
        assert start.kill() and lost(start, CELLS) == []
    with Start(sweep, workdir) as start:
        assert start.wait_for(lines=1)
        start.process.send_signal(signal.SIGTERM)
        assert start.end() == 75, start.stderr()
        assert "everything is saved" in start.said()[-1] and lost(start, CELLS) == []
    with Start(sweep, workdir) as start:
        assert start.wait_for_words("cells, ")
        for _ in range(2):
            start.process.send_signal(signal.SIGINT)
            assert start.wait_for_words("stopping after this chunk")
        assert start.end() == 130 and lost(start, CELLS) == []
    with Start(sweep, workdir) as start:
        assert start.end() == 0, start.stderr()
        assert lost(start, CELLS) == []
    assert differences(start.directory, reference) == []


def alter(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_the_comparison_sees_the_smallest_difference(whole, tmp_path):
    _, reference = whole
    copy = RunDirectory(shutil.copytree(reference.path, tmp_path / "run"))
    assert differences(copy, reference) == []
    for name in ("metrics.jsonl", "metrics.csv"):
        text = (copy.path / name).read_text()
        (copy.path / name).write_text(text[:-40] + text[-40:].replace("1", "2").replace("0", "3"))
        assert differences(copy, reference) == [name]
        (copy.path / name).write_text(text)
    (copy.path / ".metrics.csv.1.tmp").touch()
    assert differences(copy, reference) == ["left over: .metrics.csv.1.tmp"]
    (copy.path / ".metrics.csv.1.tmp").unlink()
    alter(copy.path / "report" / "diversity.csv")
    assert differences(copy, reference) == ["report/diversity.csv"]
    shutil.copy(reference.path / "report" / "diversity.csv", copy.path / "report")
    stored, written = reference.load(CELLS[0], 1), {cell: reference.read_samples(cell, 1) for cell in CELLS}
    rewritten = {cell: (s.expressions, s.verdicts) for cell, s in written.items()}
    stored.params["embed"] = {}
    copy.save(1, {**{cell: reference.load(cell, 1) for cell in CELLS[1:]}, CELLS[0]: stored})
    copy.wait()
    assert f"checkpoint 1 of {CELLS[0].name}" in differences(copy, reference)
    rewritten[CELLS[2]][0].reverse()
    copy.write_samples(1, rewritten)
    assert f"samples 1 of {CELLS[2].name}" in differences(copy, reference)


def test_lost_rows_are_seen(whole, tmp_path):
    sweep, reference = whole
    copy = RunDirectory(shutil.copytree(reference.path, tmp_path / "run"))
    with Start(sweep, copy.path) as start:
        start.kill()
    rows = copy.rows()
    (copy.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[-1]]))
    assert "doubled" in lost(start, CELLS)[0]
    copy.write_rows(rows[:6])
    assert lost(start, CELLS) == ["of 3 complete generations 2 are left"]
