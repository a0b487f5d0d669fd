"""One row of metrics.csv, and the one place where a measure is described."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from eval.measures import registry, training
from eval.measures.measure import DATA, GROUPS, OF_LANGUAGE, OF_RUN, Measure
from eval.measures.observation import Observation
from eval.measures.registry import Row, columns, in_reading_order, measure, measures, table
from eval.report import charts
from eval.statistics.summary import tables
from logic.boolean.language import Boolean
from logic.boolean.symbols import encode
from logic.language import Language
from loop.cell import KEYS, Cell
from loop.examples import Examples, concatenate
from loop.storage.run_directory import RunDirectory
from tests.columns import SAMPLE_COLUMNS

LANGUAGE = Boolean(1, 2)
README = Path(__file__).parents[3] / "README.md"
COUNTERS = dict.fromkeys([m.name for m in training.MEASURES if m.name != "train_tokens"], 1.0)
COUNTERS |= {"self_nll": 1.5, "first_model_nll": 2.5}


def of_samples(samples: list[bytes]) -> Row:
    unknown = Examples.drawn([], 0)
    return measure(Observation(LANGUAGE, Examples.written(samples, 0, unknown), LANGUAGE.verify(samples)))


def measured(*lines: str) -> Row:
    return of_samples(encode(lines))


def of_training_set(train: Examples, seed: int, size: int) -> dict[str, Any]:
    return measure(Observation(LANGUAGE, training_set=train, subsets=np.random.default_rng(seed), subset_size=size))


def full_observation(language: Language = LANGUAGE, **other: Any) -> Observation:
    train = Examples.drawn(language.sample(30, np.random.default_rng(0)), 0)
    samples = Examples.written([*language.sample(40, np.random.default_rng(1)), b""], 0, train)
    held_out = language.sample(20, np.random.default_rng(2))
    given: dict[str, Any] = {
        "samples": samples,
        "verdicts": language.verify(samples.expressions),
        "training_set": train,
        "held_out": held_out,
        "held_out_nll": np.linspace(1, 9, 20),
        "counters": COUNTERS | {"train_tokens": 5} | ({"examples_broken": 1} if language.correct else {}),
        "subsets": np.random.default_rng(3),
        "subset_size": 10,
    }
    return Observation(language, **given | other)


# The values.


def test_hand_counted_samples():
    row = measured("(not False)", "(not False)", "not False", "(True and False)", "(not True", "")
    assert row["syntactic_correctness"] == pytest.approx(4 / 6)
    assert row["semantic_correctness"] == pytest.approx(3 / 6)
    assert row["in_support"] == pytest.approx(2 / 6)
    assert row["unique_fraction"] == pytest.approx(5 / 6)
    assert row["top1_share"] == pytest.approx(2 / 6)
    assert row["length_mean"] == pytest.approx((4 + 4 + 2 + 5 + 3 + 0) / 6)
    assert row["depth_mean"] == pytest.approx((1 + 1 + 0 + 1 + 1 + 0) / 6)
    assert row["sample_entropy"] == pytest.approx(4 * math.log(6) / 6 + math.log(3) / 3)
    assert row["support_coverage"] == pytest.approx(2 * (1 / 3) * (1 / 5))


def test_coverage_of_the_whole_support_is_one():
    everything = sorted(set(LANGUAGE.sample(50_000, np.random.default_rng(0))))
    row = of_samples(everything)
    assert len(everything) == 150
    assert row["support_coverage"] == pytest.approx(1.0)
    assert row["in_support"] == 1.0


def test_nothing_but_empty_samples_is_a_result():
    row = measured("", "", "")
    expected: dict = dict.fromkeys(SAMPLE_COLUMNS, 0.0) | {"top1_share": 1.0, "outside_syntax": 1.0}
    expected |= {"unique_fraction": pytest.approx(1 / 3), "unique_trees_fraction": pytest.approx(1 / 3)}
    expected |= dict.fromkeys(("kl_depth", "tv_depth", "kl_length", "tv_length", "kl_root", "tv_root"))
    assert row == expected


def test_training_set_and_novelty():
    real = Examples.drawn(encode(["True", "True", "False"]), 0)
    train = concatenate([real, Examples.written(encode(["(True)"]), 0, real)])
    row = of_training_set(train, 0, 100)
    # Six pairs: one equal, two of True and False, three of a constant and its bracketed self or the other's.
    assert row["train_diversity"] == pytest.approx((0 + 1 + 1 + 2 / 3 + 2 / 3 + 1) / 6)
    assert (row["train_size"], row["train_unique_fraction"], row["train_real_fraction"]) == (4, 0.75, 0.75)
    samples = Examples.written(encode(["True", "not True", "", "(True)"]), 1, train)
    verdicts = LANGUAGE.verify(samples.expressions)
    change = measure(Observation(LANGUAGE, samples, verdicts, train))
    assert (change["novelty"], change["real_root_share"]) == (0.5, 0.25)
    p, q = [1 / 4, 0, 1 / 4, 1 / 4, 1 / 4], [1 / 2, 1 / 4, 1 / 4, 0, 0]
    assert change["js_training"] == pytest.approx(jensenshannon(p, q) ** 2)
    assert "train_diversity" not in change  # nothing draws its subset


def test_diversity_of_a_large_training_set_is_estimated_without_bias():
    train = Examples.drawn(LANGUAGE.sample(400, np.random.default_rng(0)), 0)
    exact = of_training_set(train, 0, 400)["train_diversity"]
    estimates = np.array([of_training_set(train, s, 60)["train_diversity"] for s in range(60)], float)
    assert np.mean(estimates) == pytest.approx(exact, abs=4 * np.std(estimates) / 60**0.5)
    assert len(set(estimates.tolist())) > 50


# What there is.


def test_a_row_has_the_columns():
    assert (*KEYS, *measure(full_observation())) == columns(LANGUAGE)
    assert len(set(columns(LANGUAGE))) == len(columns(LANGUAGE))
    assert set(measured("True")) == set(SAMPLE_COLUMNS)


@pytest.mark.parametrize("language", [LANGUAGE, Boolean(1, 2, 2)], ids=["constants", "variables"])
@pytest.mark.parametrize("name", [m.name for m in measures(Boolean(1, 2, 2))])
def test_a_measure_needs_what_it_says_and_nothing_else(name, language):
    m = next((m for m in measures(language) if m.name == name), None)
    if m is None:
        assert name in ("rows_true", "tv_functions") and language == LANGUAGE
        return
    given = {
        "samples": ["samples", "verdicts"],
        "training_set": ["training_set"],
        "training_subset": ["training_set", "subsets", "subset_size"],
        "held_out": ["held_out", "held_out_nll"],
        "training": ["counters"],
        "self_likelihood": ["counters"],
        "first_likelihood": ["counters"],
        "costs": ["counters"],
    }
    everything = full_observation(language)
    kept = {name: getattr(everything, name) for need in m.needs if need in given for name in given[need]}
    value, again = m.function(Observation(language, **kept)), m.function(full_observation(language))
    assert value == again and value is not None


def test_unknown_needs_are_refused():
    with pytest.raises(ValueError, match=r"needs = 'sampels' of new: allowed are .*samples"):
        Measure("new", lambda o: 0.0, "new", DATA, "", "new", needs=("sampels",))


@dataclasses.dataclass(frozen=True)
class Coins(Language):
    """Sequences of heads and tails: nothing is true of them, and nothing is exact."""

    name: str = dataclasses.field(default="coins", kw_only=True)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return ("<eos>", "heads", "tails")

    def sample(self, n: int, rng: np.random.Generator) -> list[bytes]:
        return [bytes(rng.integers(1, 3, 4).tolist()) for _ in range(n)]


def test_what_a_language_does_not_have_is_absent():
    row = measure(full_observation(Coins()))
    assert (*KEYS, *row) == columns(Coins())
    absent = {m.name for m in measures(LANGUAGE)} - set(row)
    verdicts = {"syntactic_correctness", "semantic_correctness", "in_support"}
    verdicts |= {"outside_syntax", "outside_false", "outside_form"}
    statistics = {f"{kind}_{of}" for kind in ("kl", "tv") for of in ("depth", "length", "root")}
    exact = {"support_coverage", "rare_mass_reached", "kl_from_real", "kl_from_real_se", "kl_paired", "kl_paired_se"}
    assert absent == verdicts | statistics | exact | {"depth_mean", "unique_trees_fraction", "examples_broken"}
    assert row["length_mean"] == pytest.approx(4 * 40 / 41)


def test_a_result_of_several_measures_is_computed_once():
    calls: list[Observation] = []
    o = full_observation()
    for _ in range(3):
        assert o.once(calls.append) is None
    assert calls == [o]


# Where it is described.


def test_a_measure_is_added_in_one_place(monkeypatch, tmp_path):
    new = Measure(
        "false_symbols",
        lambda o: float(np.mean([e.count(7) for e in o.expressions])),
        "words False",
        GROUPS[0],
        "per sample",
        "how often a sample says False",
    )
    monkeypatch.setattr(registry, "MEASURES", (*registry.MEASURES, new))
    assert columns(LANGUAGE)[-1] == "false_symbols"
    row = {**Cell("full", 0.0, 0).keys, "generation": 0, **measure(full_observation())}
    directory = RunDirectory(tmp_path)
    directory.create({}, "test", {"columns": columns(LANGUAGE)})
    directory.write_rows([row])
    directory.repair(pytest.fail)
    assert pd.read_csv(tmp_path / "metrics.csv").iloc[0].to_dict() == pytest.approx(row)
    picker = charts.measures_of([tables(directory.rows())[0]], [LANGUAGE])
    assert {"group": GROUPS[0], "name": "false_symbols", "label": "words False (per sample)"} in picker
    assert "| `false_symbols` | per sample | how often a sample says False |" in table(LANGUAGE)


def test_descriptions_are_whole():
    every = measures(LANGUAGE)
    assert len({m.title for m in every}) == len(every)
    for m in every:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", m.name)
        assert m.label and m.meaning and m.group in GROUPS and m.needs
        assert not m.meaning.endswith(".") and "|" not in m.meaning
        assert set(m.needs) & set(OF_RUN) and set(m.needs) <= {*OF_RUN, *OF_LANGUAGE}


def test_the_reader_meets_the_leading_measures_first():
    order = [m.name for m in in_reading_order(measures(LANGUAGE))]
    assert order[0] == "levenshtein_diversity"
    assert order.index("kl_paired") < order.index("kl_paired_se") < order.index("kl_from_real")


def test_readmes_table_is_that_of_the_measures():
    """To update README: python -c 'import eval.measures.registry as r, logic.boolean.language as b;
    print(r.table(b.Boolean()))', and paste it over the table of the columns."""
    assert table(Boolean()) in README.read_text(encoding="utf-8")
