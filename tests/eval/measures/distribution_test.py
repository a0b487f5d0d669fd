"""Estimates of the distance to R, on models whose distribution is known."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, entropy

from eval.measures.change import jensen_shannon
from eval.measures.distribution import (
    _RARE_DRAWS,
    RARE,
    _expected_kl,
    compare,
    rare_mass_reached,
    rare_threshold,
    support_coverage,
)
from eval.measures.likelihood import kl_from_real, kl_paired
from eval.measures.observation import Observation
from eval.measures.registry import measure
from logic.boolean.grammar import Grammar
from logic.boolean.language import Boolean
from logic.boolean.symbols import AND, NOT, OR, encode
from logic.boolean.trees import root_operator
from loop.examples import Examples

GRAMMAR = Grammar(1, 3)
SEEDS = range(40)


def draws(n: int, seed: int, grammar: Grammar = GRAMMAR) -> list[bytes]:
    return grammar.sample(n, np.random.default_rng([77, seed]))


def row_of(samples: list[bytes], language: Boolean) -> dict[str, Any]:
    return measure(Observation(language, Examples.drawn(samples, 0), language.verify(samples)))


def tilted_log_probability(expressions: list[bytes], grammar: Grammar) -> np.ndarray:
    """R reweighted by its root operator: `not` half as often, and the rest in proportion."""
    root = grammar.root_distribution()
    new = np.where(np.arange(8) == NOT, root / 2, root)
    new[root > 0] *= 1 / new.sum()
    at = root_operator(expressions)
    return grammar.log_probability(expressions) + np.log(new[at] / root[at])


def test_kl_of_the_grammar_against_itself_is_zero_within_its_error():
    z = []
    for seed in SEEDS:
        held_out = draws(2_000, seed)
        kl = kl_from_real(-GRAMMAR.log_probability(held_out), GRAMMAR.entropy)
        z.append(kl.value / kl.standard_error)
        paired = kl_paired(-GRAMMAR.log_probability(held_out), GRAMMAR.log_probability(held_out))
        assert paired == (0, 0)
    assert max(map(abs, z)) < 3.5
    assert np.mean(z) == pytest.approx(0, abs=3 / len(z) ** 0.5)
    assert 0.7 < np.std(z) < 1.3  # the stated error is the real one


def test_kl_of_a_reweighted_grammar_is_the_exact_value():
    root = GRAMMAR.root_distribution()
    new = np.where(np.arange(8) == NOT, root / 2, root)
    exact = entropy(root[root > 0], (new / new.sum())[root > 0])
    assert exact > 0.01
    z, plain = [], []
    for seed in SEEDS:
        held_out = draws(2_000, seed)
        nll = -tilted_log_probability(held_out, GRAMMAR)
        kl = kl_paired(nll, GRAMMAR.log_probability(held_out))
        z.append((kl.value - exact) / kl.standard_error)
        estimate = kl_from_real(nll, GRAMMAR.entropy)
        plain.append((estimate.value - exact) / estimate.standard_error)
    for errors in (z, plain):
        assert max(map(abs, errors)) < 3.5
        assert np.mean(errors) == pytest.approx(0, abs=3.5 / len(z) ** 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("grammar", [Grammar(1, 2), Grammar(1, 5), Grammar(0, 3)])
def test_samples_of_the_grammar_itself_read_zero(grammar):
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        samples = draws(1_000, seed, grammar)
        rows.append(row_of(samples, Boolean(grammar.min_depth, grammar.max_depth)))
        assert {rows[-1][f"outside_{why}"] for why in ("syntax", "false", "form")} == {0.0}
    for name in ("kl_depth", "kl_length", "kl_root"):
        values = [row[name] for row in rows]
        assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / len(values) ** 0.5), name
    assert max(row["tv_root"] for row in rows) < 0.06


def test_marginals_of_another_grammar_do_not():
    samples = draws(4_000, 0, Grammar(2, 3))  # no shallow expressions, all in the support of GRAMMAR
    row = row_of(samples, Boolean(1, 3))
    depth = Grammar(2, 3).depth_distribution(), GRAMMAR.depth_distribution()
    assert row["kl_depth"] == pytest.approx(entropy(*depth), abs=0.02)
    assert row["tv_depth"] == pytest.approx(np.abs(depth[0] - depth[1]).sum() / 2, abs=0.02)
    assert row["kl_length"] > 0.05


def test_compare_is_the_definition_up_to_its_correction():
    counts, p = np.array([30, 0, 70]), np.array([0.2, 0.3, 0.5])
    kl, tv = compare(counts, p)
    plug_in = 0.3 * np.log(0.3 / 0.2) + 0.7 * np.log(0.7 / 0.5)
    rng = np.random.default_rng(0)
    null = rng.multinomial(100, p, 20_000) / 100
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.nansum(np.where(null > 0, null * np.log(null / p), 0), axis=1).mean()
    assert kl == pytest.approx(plug_in - expected, abs=5e-4)
    assert tv == pytest.approx(0.3)
    assert compare(np.zeros(3, int), p) == (None, None)


def test_mass_outside_the_support_by_reason():
    samples = encode(["(not False)", "not False", "(True and False)", "(True", "", "((not False) or True)"])
    row = row_of(samples, Boolean(1, 2))
    mass = [row[f"outside_{why}"] for why in ("syntax", "false", "form")]
    assert mass == pytest.approx([2 / 6, 1 / 6, 1 / 6])
    assert sum(mass) + row["in_support"] == pytest.approx(1)


def test_root_operators():
    lines = ["(not False)", "((not True) and True)", "(True or (True and True))", "True"]
    assert root_operator(encode(lines)).tolist() == [NOT, AND, OR, 0]


def test_rare_mass():
    language = Boolean(1, 2)
    everything = sorted(set(draws(400_000, 0, language.grammar)))
    log_real = language.log_probability(everything)
    threshold, mass = rare_threshold(language)
    error = (RARE * (1 - RARE) / _RARE_DRAWS) ** 0.5  # of a binomial's share: the 0.67 % of the mass that is stated
    assert error / RARE == pytest.approx(0.0067, abs=5e-5)
    assert mass == pytest.approx(np.exp(log_real[log_real <= threshold]).sum(), abs=4 * error)
    assert mass >= 0.095
    assert rare_mass_reached(log_real, language) == pytest.approx(1, abs=0.03)
    common = log_real[log_real > threshold]
    assert rare_mass_reached(common, language) == 0
    assert support_coverage(common) == pytest.approx(1 - mass, abs=4 * error)


def test_samples_of_one_length_read_low_by_all_that_is_taken_off():
    """What the correction costs at its worst: there the plug-in is exact."""
    p_K = Grammar(1, 5).length_distribution()
    n, k = 50, 25
    kl, tv = compare(np.where(np.arange(len(p_K)) == k, n, 0), p_K)
    assert -np.log(p_K[k]) == pytest.approx(4.20, abs=0.005)
    assert kl == pytest.approx(3.65, abs=0.005)
    rng = np.random.default_rng(0)
    null = rng.multinomial(n, p_K / p_K.sum(), 20_000) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        taken_off = np.nansum(np.where(null > 0, null * np.log(null / p_K), 0), axis=1).mean()
    assert -np.log(p_K[k]) - kl == pytest.approx(taken_off, abs=0.01)
    assert tv == pytest.approx(1 - p_K[k])


def test_rows_of_one_held_out_draw_share_one_error():
    """`kl_from_real` of any two models is off by the same constant, which is its value for R itself."""
    language = Boolean(1, 3)
    held_out = draws(500, 3, language.grammar)
    log_real = language.log_probability(held_out)
    models = [-log_real, -tilted_log_probability(held_out, language.grammar), np.full(500, 7.0)]
    rows: list[dict[str, Any]] = [measure(Observation(language, held_out=held_out, held_out_nll=m)) for m in models]
    constant = rows[0]["kl_from_real"]
    assert abs(constant) > 0.01 and rows[0]["kl_paired"] == 0
    assert [row["kl_from_real"] - row["kl_paired"] for row in rows] == pytest.approx([constant] * 3)


@pytest.mark.parametrize("n", [1, 2, 30, 5_000])
def test_taken_off_is_the_mean_plug_in_kl_of_draws_from_the_distribution(n):
    for p_K in ([1.0], [0.0, 1.0], [0.5, 0.5], [0.9, 0.0999, 0.0001], GRAMMAR.length_distribution().tolist()):
        p, k = np.array([x for x in p_K if x > 0]), np.arange(1, n + 1)[:, None]
        expected = np.sum(binom.pmf(k, n, p) * (k / n) * np.log(k / (n * p)))
        assert _expected_kl(tuple(p_K), n) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_jensen_shannon_is_symmetric_and_bounded():
    a, b = Counter(draws(500, 0)), Counter(draws(500, 1))
    assert jensen_shannon(a, b) == pytest.approx(jensen_shannon(b, a))
    assert jensen_shannon(a, a) == pytest.approx(0)
    assert jensen_shannon(Counter([b"a"]), Counter([b"b"] * 3)) == pytest.approx(np.log(2))
