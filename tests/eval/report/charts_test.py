import base64
import hashlib
import json
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from eval.report import charts, curves, page
from eval.report import samples as samples_shown
from eval.report.build import read_run
from logic.boolean.language import Boolean
from logic.boolean.symbols import OPEN
from loop.cell import KEYS, Cell
from loop.storage.run_directory import RunDirectory
from tests.columns import COLUMNS, filled
from tests.eval.report.build_test import rows_of

LANGUAGE = Boolean(1, 3)
CELLS = [Cell("full", 0.0, 0), Cell("full", 0.5, 0), Cell("fresh", 1.0, 0)]


def make_run(path, generations=3, samples=100):
    run = RunDirectory(path)
    run.create({"language": {"min_depth": 1, "max_depth": 3}}, "cpu")
    run.write_rows(list(rows_of(CELLS, generations)))
    for t in range(generations):
        expressions = LANGUAGE.sample(samples, np.random.default_rng(t)) if samples else []
        verdicts = LANGUAGE.verify(expressions)
        run.write_samples(t, dict.fromkeys(CELLS, (expressions, verdicts)))
    return run


def anatomy_of(cell, generation, **other):
    entry = {"expression": "not False", "share": 1.0, "probability": 0.0}
    entry |= {"syntactic": True, "semantic": True, "in_support": False}
    part = {
        "samples": 4,
        "distinct": 1,
        "depth": [0, 4],
        "length": [0, 0, 4],
        "top": [entry],
        "roots": [[-1, 3], [2, 1]],
    }
    return cell.keys | {"generation": generation} | part | other


def test_embedded_data_can_neither_end_nor_open_an_element():
    data = {"</script>": ["<!--<script>", "a & b", "\u2028", 0.5, None]}
    text = charts.embedded(data)
    assert not set(text) & set("<>&\u2028") and json.loads(text) == data
    with pytest.raises(ValueError, match="JSON"):
        charts.embedded(float("nan"))


def test_the_chart_library_is_kept_and_a_damaged_one_is_made_again(tmp_path, monkeypatch):
    made = []

    def bundle(code):
        made.append(code)
        return "a(); // ü"

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("vl_convert.javascript_bundle", bundle)
    first = charts._library.__wrapped__()
    assert charts._library.__wrapped__() == first and len(made) == 1
    (kept,) = (tmp_path / ".cache" / "self-consuming-loop").iterdir()
    for damaged in (kept.read_bytes()[:-3], b"\xff", b""):
        kept.write_bytes(damaged)
        assert charts._library.__wrapped__() == first
    assert len(made) == 4
    shutil.rmtree(tmp_path / ".cache")
    (tmp_path / ".cache").touch()  # nothing can be kept
    assert charts._library.__wrapped__() == first and len(made) == 5


def test_scripts_are_named_by_their_hashes():
    library, own = charts.scripts()
    for script in (library, own):
        digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
        assert script.source == f"'sha256-{digest}'"
        assert "</script" not in script.text and "<!--" not in script.text and "\r" not in script.text
    assert len(library.text) < 1_000_000
    assert "innerHTML" not in own.text and "insertAdjacentHTML" not in own.text


def test_every_numeric_column_can_be_chosen():
    table = pd.DataFrame({"cycle": "full", "seed": 0, "fresh_ratio": 0.0, "generation": [0, 1], "novelty": [0.5, None]})
    table = table.assign(new_measure=[1, 2], text="a", steps=[None, None])
    measures = charts.measures_of([table], [LANGUAGE])
    assert [(m["name"], m["label"]) for m in measures] == [
        ("novelty", "novelty (not in the training set)"),
        ("new_measure", "new measure"),
    ]


def test_the_picker_has_every_column_under_its_label():
    picker = charts.measures_of([pd.DataFrame([filled(0.5)])], [LANGUAGE])
    assert {m["name"] for m in picker} == set(COLUMNS) - {*KEYS}
    assert "Other" not in {m["group"] for m in picker}
    assert picker[0] == {
        "group": "What the model writes",
        "name": "levenshtein_diversity",
        "label": "Levenshtein diversity",
    }
    assert max(Counter(m["label"] for m in picker).values()) == 1


def test_views_of_a_run_without_anatomy_files(tmp_path):
    run = make_run(tmp_path / "run")
    data = page.run_data(read_run(run))
    assert [cell["name"] for cell in data["cells"]] == [cell.name for cell in CELLS]
    assert set(data["cells"][0]["views"]) == {0, 1, 2}
    view = data["cells"][1]["views"][2]
    samples = run.read_samples(CELLS[1], 2)
    shown = [samples_shown.Shown(*data["texts"][i]) for i in view["first"]]
    assert shown == samples_shown.show_samples(LANGUAGE, samples.expressions, samples.verdicts)[:10]
    assert view["samples"] == sum(view["depth"]) == sum(view["length"]) == 100
    assert view["depth"][1] == sum(e.count(OPEN) == 1 for e in samples.expressions)
    assert view["roots"] == []
    assert sum(data["truth"]["depth"]) == pytest.approx(1, abs=1e-4)
    assert sum(data["truth"]["length"]) == pytest.approx(1, abs=1e-4)
    assert len(data["truth"]["length"]) == len(view["length"]) <= page.BARS + 1
    assert len(data["truth"]["depth"]) == len(view["depth"])


def test_anatomy_files_are_preferred(tmp_path):
    run = make_run(tmp_path / "run", generations=1)
    run.write_anatomy(
        0, [anatomy_of(CELLS[0], 0, depth=[0, 1, 0, 0, 0, 0, 0, 2, 1]), anatomy_of(Cell("full", 0.9, 0), 0)]
    )
    data = page.run_data(read_run(run))
    view = data["cells"][0]["views"][0]
    assert view["roots"] == [[-1, 3], [2, 1]]
    assert view["depth"] == [0, 1, 0, 0, 0, 3]  # up to the bound of 3, one more, and all that is deeper
    text, share, probability = view["top"][0]
    assert (data["texts"][text], share, probability) == (samples_shown.Shown("not False", "correct"), 1, 0)
    assert set(data["cells"][1]["views"][0]) == {"first"}


def test_a_run_without_readable_samples_has_no_views(tmp_path):
    none = make_run(tmp_path / "b", generations=1, samples=0)
    for path in none.path.glob("samples/*/*array_record*"):
        path.unlink()
    (tmp_path / "b" / "samples" / "generation_0000" / "dataset_info.json").unlink()
    assert page.run_data(read_run(none))["cells"][0]["views"] == {}


def curve(evaluations, start=2.0):
    steps = np.arange(1, evaluations + 1)
    return np.stack([10 * steps, start / steps, start / steps, start + 1 / steps], axis=1)


def test_curves_of_a_cell_are_shown_generation_by_generation(tmp_path):
    run = make_run(tmp_path / "run", samples=0)
    for t in range(3):
        run.write_curves(t, {CELLS[0]: curve(2 + t), CELLS[2]: np.array([[7, np.nan, np.inf, 0.123456789]])})
    found = {cell["name"]: cell.get("curves") for cell in page.run_data(read_run(run, "a"))["cells"]}
    assert found[CELLS[1].name] is None  # it has none
    assert found[CELLS[0].name][1] == {
        "step": [10, 20, 30],
        "train_loss": [2, 1, 0.66667],
        "validation_loss": [3, 2.5, 2.3333],
    }
    assert list(found[CELLS[0].name]) == [0, 1, 2]
    assert found[CELLS[2].name][0] == {"step": [7], "train_loss": [None], "validation_loss": [0.12346]}


def test_curves_on_the_page_are_bounded(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", generations=12, samples=0)
    for t in range(12):
        run.write_curves(t, {cell: curve(300) for cell in CELLS})
    monkeypatch.setattr(curves, "LIMIT", 600)
    found = curves.shown_curves(read_run(run, "a"))
    assert list(found) == CELLS
    assert sum(len(shown["step"]) for cell in found.values() for shown in cell.values()) <= 600
    for cell in found.values():
        assert {0, 11} <= set(cell)
        assert all((shown["step"][0], shown["step"][-1]) == (10, 3000) for shown in cell.values())


def test_generations_are_left_out_evenly():
    assert curves.evenly(range(5), 9) == [0, 1, 2, 3, 4]
    assert curves.evenly(range(101), 5) == [0, 25, 50, 75, 100]
    assert curves.evenly([3], 1) == [3]
    assert page.evenly(range(7), 0) == [0, 6]


def test_histograms_keep_their_mass():
    assert page._folded([1, 2, 3, 4, 5], 3) == [1, 2, 12]
    assert page._folded([1, 2, 3, 4, 5], 3, width=2) == [3, 7, 5]
    assert page._folded([], 2) == [0, 0]


def test_numbers_are_short_and_finite():
    numbers = page._rounded([0.123456789, 2.0, float("nan"), float("-inf"), 123456.78, np.float64(1e-9)])
    assert numbers == [0.12346, 2, None, None, 123456.8, 1e-9]
    assert isinstance(numbers[1], int)
