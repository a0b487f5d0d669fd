import numpy as np
import pandas as pd
import pytest
from scipy import stats

from eval.mean_field import mean_fields
from eval.statistics.decomposition import (
    FINITE,
    NETWORK,
    TEMPERATURE,
    decompose,
    last_rows,
    prediction,
    sentence,
    table,
)
from eval.statistics.fall import declines
from eval.statistics.summary import tables
from logic.boolean.language import Boolean
from loop.config import Config, LoopConfig, SweepConfig
from model.config import ModelConfig, SampleConfig
from tests.columns import filled

LEARNERS = ("transformer", "memoriser")
PARTS = ["temperature_part", "finite_samples_part", "learner_part"]


def metrics(curves):
    """(learner, fresh ratio, seed) -> diversity by generation."""
    rows = [
        filled(0.5)
        | {"cycle": "fresh" if ratio == 1 else "full", "fresh_ratio": ratio, "seed": seed, "learner": learner}
        | {"generation": t, "levenshtein_diversity": value}
        for (learner, ratio, seed), curve in curves.items()
        for t, value in enumerate(curve)
    ]
    return tables(rows, ["fresh"])[0]


def field(curve, fixed_point=0.1, first=(0.05, 0.07, 0.09)):
    return {
        "generations": [{"generation": t, "levenshtein_diversity": value} for t, value in enumerate(curve)],
        "fixed_point": {"levenshtein_diversity": fixed_point},
        "from_first_data": dict(enumerate(first)),
    }


FIELDS = {("full", 0.0): field([0.5, 0.4, 0.3]), ("full", 0.25): field([0.4, 0.36, 0.3], 0.2)}


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(0)
    return metrics(
        {
            (learner, ratio, seed): 0.5 * np.cumprod(rng.uniform(0.7, 1, 3))
            for learner in LEARNERS
            for ratio in (0.0, 0.25, 1.0)
            for seed in range(3)
        }
    )


def test_parts_add_up_in_every_row(noisy):
    rows = table(decompose(noisy, FIELDS))
    assert len(rows) == 2 * 3  # φ and generations; the control has no parts
    np.testing.assert_allclose(rows[PARTS].sum(axis=1, skipna=False), rows["observed"], rtol=0, atol=1e-14)
    assert (rows[rows["generation"] == 0][[*PARTS, "observed"]] == 0).all(axis=None)
    assert rows["observed"].lt(-0.1).sum() == 4


def test_parts_are_differences_of_relative_curves_with_paired_intervals(noisy):
    row = table(decompose(noisy, FIELDS)).query("fresh_ratio == 0.25 and generation == 2").iloc[0]
    curves = noisy[noisy["fresh_ratio"] == 0.25].pivot(
        index="seed", columns=["learner", "generation"], values="levenshtein_diversity"
    )
    network, memoriser = (curves[name][2] / curves[name][0] - 1 for name in LEARNERS)
    assert row["temperature_part"] == pytest.approx(0.3 / 0.4 - 1)
    for name, values in (("finite_samples_part", memoriser + 0.25), ("learner_part", network - memoriser)):
        expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
        assert (row[name], row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((values.mean(), *expected))
    assert row["fixed_point"] == pytest.approx(0.2 / 0.4 - 1)
    assert row["from_first_data"] == pytest.approx(0.07 / 0.4 - 1)


def test_a_network_that_does_what_the_memoriser_does_has_no_part():
    curves = {(learner, 0.0, seed): [0.5, 0.4, 0.3 - 0.01 * seed] for learner in LEARNERS for seed in range(2)}
    (d,) = decompose(metrics(curves), FIELDS)
    assert [tuple(e[:3]) for e in d.parts[NETWORK]] == [(0, 0, 0)] * 3
    assert d.parts[FINITE][-1].mean == pytest.approx(-0.01)


def test_at_temperature_one_nothing_is_temperatures(noisy):
    config = Config(
        Boolean(1, 2),
        ModelConfig(context_length=16),
        sample=SampleConfig(temperature=1.0),
        loop=LoopConfig(generations=3, num_examples=200, num_samples=200),
        sweep=SweepConfig(("full",), (0.0, 0.25), (0, 1, 2)),
    )
    fields = {(s.cycle, s.fresh_ratio): result for s, result in mean_fields(config).items()}
    rows = table(decompose(noisy, fields))
    assert rows["temperature_part"].abs().max() < 1e-9
    assert rows["fixed_point"].abs().max() < 1e-6
    assert rows["finite_samples_part"].min() < -0.1
    said = prediction(declines(noisy), {key: field([0.5] * 3, 0.5, (0.5, 0.5)) for key in fields})
    assert "does not fall: at φ = 0.25 from 0.500 to 0.500" in said


def test_only_common_seeds_and_generations_count():
    curves = {("transformer", 0.0, seed): [0.5, 0.4, 0.1 * seed] for seed in range(3)}
    curves |= {("memoriser", 0.0, seed): [0.5, 0.4] for seed in (1, 2, 5)}
    (d,) = decompose(metrics(curves), FIELDS)
    assert (d.seeds, d.generations) == ((1, 2), (0, 1))
    assert d.observed[-1].mean == pytest.approx(-0.2)


def test_what_is_missing_joins_two_parts():
    alone = {("transformer", 0.0, seed): [0.5, 0.4, 0.2] for seed in range(2)}
    (d,) = decompose(metrics(alone), FIELDS)
    assert sentence(d) == (
        "full, fresh 0: diversity -60 % [-60, -60]: temperature -40, finite samples and network together -20 [-20, -20]"
    )
    assert last_rows([d])[0]["parts"] == [("temperature_part", 1), ("finite_samples_and_learner_part", 2)]
    both = metrics(alone | {("memoriser", 0.0, seed): [0.5, 0.4, 0.3] for seed in range(2)})
    (d,) = decompose(both, {})
    assert sentence(d) == (
        "full, fresh 0: diversity -60 % [-60, -60]: temperature and finite samples together -40 [-40, -40], "
        "network -20 [-20, -20]"
    )
    assert d.fixed_point is None and d.from_first_data.mean is None
    assert decompose(metrics(alone), {}) == []
    (d,) = decompose(metrics({("memoriser", 0.0, seed): [0.5, 0.4, 0.2] for seed in range(2)}), FIELDS)
    assert list(d.parts) == [TEMPERATURE, FINITE]
    assert d.parts[FINITE][-1].mean == pytest.approx(-0.2)
    assert decompose(metrics({("transformer", 0.0, 0): [0.5]}), FIELDS) == []


def test_sentence_and_prediction(noisy):
    curves = {("transformer", 0.25, seed): [0.5, 0.4, 0.2 + 0.02 * seed] for seed in range(2)}
    curves |= {("memoriser", 0.25, seed): [0.5, 0.4, 0.3 + 0.02 * seed] for seed in range(2)}
    table = metrics(curves)
    (d,) = decompose(table, FIELDS)
    assert sentence(d) == (
        "full, fresh 0.25: diversity -58 % [-83, -33]: temperature -25, finite samples -13 [-38, +12], "
        "network -20 [-20, -20]"
    )
    assert prediction(declines(table), FIELDS) == (
        "In theory, of a memoriser with infinitely many samples, fresh data stops its fall at a fixed point: "
        "at φ = 0.25 from 0.400 to 0.200, from the seeds' own first data to 0.070 (seen at generation 2: full 0.210)"
    )
    both = pd.concat([table, table.assign(cycle="incremental")], ignore_index=True)
    told = prediction(declines(both), FIELDS | {("incremental", 0.25): FIELDS["full", 0.25]})
    assert told.count("from 0.400 to 0.200") == 1
    assert told.endswith("(seen at generation 2: full 0.210, incremental 0.210)")
    assert prediction(declines(table), {}) == ""
    assert prediction(declines(metrics({("transformer", 0.0, 0): [0.5, 0.4]})), FIELDS) == ""
