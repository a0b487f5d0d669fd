"""Both detectors, and the draws that they decide."""

import math

import numpy as np
import pytest

from launch.configuration import resolve
from launch.presets import smoke
from loop.blocks import Written, incoming_block, initial_training_set
from loop.remedies.classifier import log_not_generated
from loop.remedies.detector import Detector, log_human
from tests.loop.remedies.cases_test import LANGUAGE, chosen, pool

EXACT = Detector(oracle=True)


def test_the_oracle_is_uniform_where_the_model_writes_the_real_distribution():
    lines = ["(not False)", "(True or False)", "(not (not True))"] * 300
    log_real = LANGUAGE.log_probability(LANGUAGE.encode(lines))
    rows = np.array(chosen(EXACT, 900, pool(lines, written_nats=-log_real)))
    assert len(rows) == 900 and np.bincount(rows, minlength=900).max() <= 3
    np.testing.assert_allclose(np.bincount(rows % 3) / 900, 1 / 3, atol=0.05)
    # An expression that the model writes ten times too often is drawn by ((1 + 1) / (1 + 10))^10 less.
    often, rightly = (log_human(np.array([-3.0]), np.array([-3.0 + more]), 0.5) for more in (math.log(10), 0))
    assert (often - rightly)[0] == pytest.approx(math.log(2 / 11))
    outside = pool(["(not True)", "(not False)"], written_nats=[1.0, 1.0])
    assert chosen(EXACT, 9, outside) == [1, 1, 1]


def test_without_an_oracle_what_is_written_too_often_is_drawn_rarely():
    rare, often = "(not False)", "(True or True)"
    given = pool([rare] * 40 + [often] * 360, real=[rare, often] * 200)
    rows = np.array(chosen(Detector(repeats=1), 100, given))
    human = np.exp(log_not_generated(given.real, given.samples.expressions, 0.5))
    expected = human[0] ** 10 * 40 / (human[0] ** 10 * 40 + human[-1] ** 10 * 360)
    assert expected > 0.9 and len(set(rows.tolist())) == 100
    assert (rows < 40).sum() == 40  # nearly all of the weight: all of them are taken
    assert np.bincount(chosen(Detector(), 100, given))[:40].sum() > 80  # again and again, thrice at most
    assert chosen(Detector(), 5, pool([], real=[rare])) == []


@pytest.mark.parametrize("oversample, of", [(1.0, 10), (1.5, 15), (3.0, 20)])
def test_it_chooses_from_so_many_samples_as_there_are_at_most(oversample, of):
    given = pool(["(not False)"] * 20, real=["(not False)"] * 20)
    seen = set()
    for seed in range(40):
        rows = Detector(oversample=oversample, repeats=1).select(given, 10, np.random.default_rng(seed))
        assert len(rows) == 10
        seen |= set(rows.tolist())
    assert seen == set(range(of))


def test_what_is_real_to_it_is_what_the_cell_began_with():
    c = smoke.get_config()
    c.loop.update(num_examples=40, num_samples=60)
    c.sweep.update(cycles=("full",), fresh_ratios=(0.0,), remedies=("detector",))
    c = resolve(c)
    cell = c.cells()[0]
    real = initial_training_set(c, cell.seed).expressions
    given = pool(["(not False)", "(True or"] * 30, real=[])
    written = Written(given.samples, given.verdicts, {})
    block = incoming_block(c, cell, 0, written)
    assert block == incoming_block(c, cell, 0, written)  # made again, the same
    human = log_not_generated(real, given.samples.expressions, 0.5)
    assert human[0] > human[1]
    times = np.bincount(block.index, minlength=60)
    assert times[::2].sum() > 30 and times.max() <= 3
