import itertools
from collections import Counter

import numpy as np
import pytest

from eval.recursion import CONVERGED, Real, Setting, block, fixed_point, growth, total_variation, trajectory
from logic.boolean.language import Boolean
from logic.errors import UsageError
from loop.blocks import Written, incoming_block, initial_training_set, next_training_set
from loop.cell import Cell
from loop.config import Config, LoopConfig
from loop.examples import Examples
from loop.learners.memoriser import Memoriser
from model.config import ModelConfig, SampleConfig

GRAMMAR = Boolean(1, 2)
RATIOS, TEMPERATURES = (0.0, 0.25, 0.5), (0.6, 0.8, 1.0)


def config(**kwargs) -> Config:
    return Config(language=GRAMMAR, model=ModelConfig(context_length=16), **kwargs)


REAL = Real.of(config())


def setting(ratio, temperature, cycle="full", **kwargs):
    return Setting(cycle, ratio, SampleConfig(temperature=temperature), **kwargs)


def states(which, generations, start=None):
    return list(itertools.islice(trajectory(REAL, which, start), generations))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_without_fresh_data_generations_multiply_temperatures(temperature):
    """S_t is R once sharpened by temperature^(t+1)."""
    for t, (log_samples_U, _) in enumerate(states(setting(0.0, temperature), 8)):
        expected = REAL.tree.sharpen(REAL.log_p_U, SampleConfig(temperature=temperature ** (t + 1)))
        np.testing.assert_allclose(log_samples_U, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_fixed_point_by_substitution(ratio, temperature):
    which = setting(ratio, temperature)
    log_p_U, residual = fixed_point(REAL, which, REAL.log_p_U)
    sharpened = np.exp(REAL.tree.sharpen(log_p_U, which.sample))
    np.testing.assert_allclose((1 - ratio) * sharpened + ratio * np.exp(REAL.log_p_U), np.exp(log_p_U), atol=3e-8)
    assert residual <= CONVERGED
    assert total_variation(states(which, 400)[-1][1], log_p_U) < 1e-6  # and the curve runs into it
    if temperature == 1:
        np.testing.assert_allclose(log_p_U, REAL.log_p_U)
    else:
        assert total_variation(log_p_U, REAL.log_p_U) > 0.05


@pytest.mark.parametrize("cycle", ["incremental", "balanced", "subsample", "expanding"])
def test_other_cycles_rest_where_full_does(cycle):
    which = setting(0.5, 0.6, cycle, renewal_share=0.5)
    log_fixed_U, _ = fixed_point(REAL, which, REAL.log_p_U)
    assert total_variation(states(which, 5, log_fixed_U)[-1][1], log_fixed_U) < 1e-7
    far, nearer, near = (total_variation(states(which, t)[-1][1], log_fixed_U) for t in (2, 20, 200))
    assert near < 0.7 * nearer < 0.7 * far


@pytest.mark.parametrize("cycle", ["full", "incremental", "balanced", "expanding", "subsample", "fresh"])
def test_is_what_the_cycles_make_of_a_memoriser_with_many_samples(cycle):
    m, generations = 40_000, 4
    c = config(
        loop=LoopConfig(generations=generations, num_examples=m, num_samples=m, renewal_share=0.5),
        sample=SampleConfig(temperature=0.7),
    )
    cell = Cell(cycle, 1.0 if cycle == "fresh" else 0.25, 0)
    train = initial_training_set(c, 0)
    blocks = [train]
    for t in range(generations - 1):
        memory = Memoriser().learn(train.expressions, GRAMMAR, 16)
        written = memory.sample(m, np.random.default_rng([7, t]), c.sample)
        blocks.append(incoming_block(c, cell, t, Written(Examples.written(written, t, train), {}, {})))
        train = next_training_set(c, cell, t, train, blocks)
    # How far it has gone the way of sharpening: an average over many examples, which noise hardly moves.
    way_U = REAL.tree.sharpen(REAL.log_p_U, c.sample) - REAL.log_p_U
    score = np.exp(REAL.empirical(train.expressions, 16)) @ way_U

    def apart(name):
        which = setting(cell.fresh_ratio, 0.7, name, renewal_share=c.block_size(name) / m)
        return abs(np.exp(states(which, generations)[-1][1]) @ way_U - score)

    error = np.std(way_U) / m**0.5
    assert apart(cycle) < 5 * error
    same = {"balanced", "subsample"} if cycle in ("balanced", "subsample") else {cycle}
    if cell.fresh_ratio < 1:  # and it is not what another cycle makes
        assert all(apart(other) > 7 * error for other in {"full", "incremental", "balanced", "expanding"} - same)


def test_growth_is_that_of_a_deviation():
    """At temperature 1 a deviation shrinks by 1-φ; below, a tie's deviation is seen to grow by the factor."""
    assert growth(REAL, setting(0.25, 1.0), REAL.log_p_U) == pytest.approx(0.75, abs=0.01)
    assert growth(REAL, setting(0.0, 0.6), REAL.log_p_U) is None
    assert growth(REAL, setting(1.0, 0.6), REAL.log_p_U) == 0
    which = setting(0.25, 0.6)
    log_fixed_U, _ = fixed_point(REAL, which, REAL.log_p_U)
    log_p_U = log_fixed_U + 1e-7 * np.random.default_rng(3).normal(size=len(log_fixed_U))
    distances = []
    for _ in range(24):
        log_p_U = block(REAL, which, log_p_U)
        distances.append(np.abs(log_p_U - log_fixed_U).max())
    assert (distances[-1] / distances[-9]) ** (1 / 8) == pytest.approx(growth(REAL, which, log_fixed_U), rel=0.02)


@pytest.mark.parametrize(("ratio", "temperature", "stays"), [(0.5, 0.8, True), (0.25, 0.6, False)])
def test_where_deviations_grow_first_data_lead_elsewhere(ratio, temperature, stays):
    which = setting(ratio, temperature)
    log_fixed_U, _ = fixed_point(REAL, which, REAL.log_p_U)
    start = REAL.empirical(GRAMMAR.sample(4_000, np.random.default_rng(0)), 16)
    apart = total_variation(fixed_point(REAL, which, start)[0], log_fixed_U)
    factor = growth(REAL, which, log_fixed_U)
    assert factor is not None
    assert (factor < 1) == stays
    assert (apart < 1e-6) == stays
    assert stays or apart > 0.1


def test_a_short_context_cuts_what_is_listed():
    real = Real.of(Config(language=GRAMMAR, model=ModelConfig(context_length=6)))
    mass: Counter = Counter()
    for e, log_p in zip(REAL.tree.expressions, REAL.log_p_U, strict=True):
        mass[e[:6]] += np.exp(log_p)
    assert dict(zip(real.tree.expressions, np.exp(real.log_p_U), strict=True)) == pytest.approx(dict(mass))


def test_refuses_what_cannot_be_listed_in_one_line():
    with pytest.raises(UsageError, match=r"^language\.max_depth = 5: .*: the mean field is not computed$"):
        Real.of(Config(language=Boolean(1, 5)))
    with pytest.raises(UsageError, match="cycle = other"):
        setting(0.0, 1.0, "other").share(0)
