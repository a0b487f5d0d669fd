"""Every remedy on cases computed by hand, and what is refused."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch.configuration import resolve
from launch.presets import smoke
from logic.boolean.language import Boolean
from logic.errors import UsageError
from logic.language import Language
from loop.blocks import Written, incoming_block, real_examples
from loop.cell import Cell
from loop.costs import costs
from loop.examples import GENERATED, REAL, Examples, concatenate
from loop.remedies import REMEDIES, canonical_remedies, check_remedies, remedies_of
from loop.remedies.depth_quota import DepthQuota, quotas
from loop.remedies.entropy_rate import EntropyRate, entropy_rate
from loop.remedies.focal import Focal
from loop.remedies.golden import Golden, golden_weight
from loop.remedies.remedy import Pool, TooFewError, settle
from loop.remedies.surplexity import Surplexity
from loop.remedies.truncated import Truncated
from loop.remedies.unique import Unique
from loop.remedies.verified import Verified
from loop.training.treatment import loss_weights, treatments

LANGUAGE = Boolean(1, 2)
LINES = [
    "(not False)",  # true, depth 1
    "(not True)",  # false
    "(True or False)",  # true, depth 1
    "(not False)",
    "(True or",  # no expression
    "(not (not True))",  # true, depth 2
    "True or False",  # true, not in support
    "(not False)",
]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pool(lines=LINES, nats=(), written_nats=(), generation=0, real=()) -> Pool:
    expressions = LANGUAGE.encode(list(lines))
    samples = Examples.written(expressions, generation, Examples.drawn([], 0))
    scores = np.array(nats), np.array(written_nats)
    return Pool(samples, LANGUAGE.verify(expressions), *scores, LANGUAGE, 16, LANGUAGE.encode(list(real)))


def chosen(remedy, wanted: int, given: Pool) -> list[int]:
    return remedy.select(given, wanted, rng()).tolist()


def test_verified_keeps_what_passes_and_an_imperfect_verifier_errs_in_its_proportions():
    assert chosen(Verified(), 4, pool()) == [0, 2, 3, 5, 6, 7]
    assert chosen(Verified(level="in_support"), 4, pool()) == [0, 2, 3, 5, 7]
    assert chosen(Verified(level="syntactic"), 4, pool()) == [0, 1, 2, 3, 5, 6, 7]
    many = pool(["(not False)", "(not True)"] * 20_000)
    rows = np.array(chosen(Verified(keep_false=0.1, keep_true=0.7), 4, many))
    assert np.mean(rows % 2 == 0) == pytest.approx(0.7 / 0.8, abs=0.01)
    assert len(rows) == pytest.approx(0.4 * 40_000, rel=0.02)


def test_unique_keeps_the_first_copies():
    assert chosen(Unique(), 4, pool()) == [0, 1, 2, 4, 5, 6]
    assert chosen(Unique(copies=2), 4, pool()) == [0, 1, 2, 3, 4, 5, 6]


def test_depth_quota_takes_the_real_proportions_of_depths():
    depths = next(s.distribution for s in LANGUAGE.statistics if s.name == "depth")
    many = pool(["(not False)"] * 50 + ["(not (not True))"] * 5 + ["(True or"] * 9)
    rows = np.array(chosen(DepthQuota(), 40, many))
    assert len(rows) == 40
    assert (rows < 50).sum() == round(40 * depths[1]) and (rows < 55).all()
    deep, times = np.unique(rows[rows >= 50], return_counts=True)
    assert len(deep) == 5 and np.ptp(times) <= 1  # repeated, each as often as the others
    assert quotas(np.array([0.5, 0.25, 0.25]), 5) == [3, 1, 1]
    assert quotas(np.array([0.0, 0.0]), 5) == [0, 0]
    with pytest.raises(TooFewError):
        DepthQuota(fill="end").select(many, 40, rng())


def test_surplexity_takes_the_largest_mean_nats_per_symbol():
    given = pool(["(not False)", "(not (not True))", "(not True)"], nats=[10.0, 11.9, 9.0])  # of 5, 8 and 5 symbols
    assert chosen(Surplexity(), 2, given) == [0, 2]
    assert chosen(Surplexity(), 1, Pool.union([pool(["(not True)"], [1.0]), given])) == [1]


def test_entropy_rate_is_the_match_length_estimator():
    # a b a b: 1 + 1 + (ab, end: 3) + (b, end: 2)
    assert entropy_rate(b"abab") == pytest.approx(4 * math.log(4) / 7)
    assert entropy_rate(b"abcd") == pytest.approx(4 * math.log(4) / 4)
    assert entropy_rate(b"") == entropy_rate(b"a") == 0
    letters = np.random.default_rng(1).integers(0, 3, (50, 30), np.uint8)
    for sample in map(bytes, letters):
        n = len(sample)
        lengths = [
            next((k for k in range(1, n - i + 1) if sample[i : i + k] not in sample[:i]), n - i + 1) for i in range(n)
        ]
        assert entropy_rate(sample) == pytest.approx(n * math.log(n) / sum(lengths))
    assert chosen(EntropyRate(), 1, pool(["(not (not (not (not True))))", "(True or False)"])) == [1]


def test_golden_weights_are_those_of_the_paper():
    assert golden_weight(1) == pytest.approx((math.sqrt(5) - 1) / 2)
    assert golden_weight(0.25 / 0.75) == pytest.approx(0.434, abs=5e-4)
    train = concatenate([Examples.drawn([b"\1"] * 25, 0), Examples.written([b"\1"] * 75, 0, Examples.drawn([], 0))])
    weights = Golden().weights(train)
    assert weights.mean() == pytest.approx(1)
    assert weights[train.source == REAL].sum() / weights.sum() == pytest.approx(0.434, abs=5e-4)
    assert np.ptp(weights[train.source == GENERATED]) == 0
    np.testing.assert_array_equal(Golden().weights(train.take(np.arange(25))), 1)
    assert Golden(real=0.9).weights(train)[:25].sum() == pytest.approx(90)


def test_losses_are_weighted_by_the_probability_of_the_symbol():
    p_BT = jnp.array([[0.95, 0.9, 0.5]])
    assert Truncated.symbol_weight(p_BT, jnp.float32(0.9)).tolist() == [[0, 1, 1]]
    np.testing.assert_allclose(Focal.symbol_weight(p_BT, jnp.float32(2)), [[0.0025, 0.01, 0.25]], rtol=1e-4)
    c = resolve(smoke.get_config())
    every = treatments([c] * 3, ["none", "truncated(gamma=0.6)", "focal"])
    nll_BT = -jnp.log(jnp.array([[0.8, 0.5]]))
    weigh = [loss_weights(jax.tree.map(lambda x, i=i: x[i], every), None) for i in range(3)]
    per_run = [w(nll_BT) for w in weigh if w is not None]
    np.testing.assert_array_equal(per_run[0], nll_BT)
    np.testing.assert_allclose(per_run[1], nll_BT * jnp.array([[0, 1]]))
    np.testing.assert_allclose(per_run[2], nll_BT * jnp.array([[0.04, 0.25]]), rtol=1e-4)


def test_focal_loss_has_a_finite_slope_where_the_model_is_certain():
    def loss(logit, gamma):
        log_p = jax.nn.log_softmax(jnp.array([1.0, 0.0]) * logit)[0]
        return -log_p * Focal.symbol_weight(jnp.exp(log_p), gamma)

    for gamma in (0.0, 0.5, 2.0):
        assert np.isfinite(jax.grad(loss)(jnp.float32(200), jnp.float32(gamma)))


def test_settle_fills_up_as_it_is_told():
    given, rows = pool(), np.array([1, 4, 6])
    assert sorted(settle(given, rows, 2, "end", rng())) in ([1, 4], [1, 6], [4, 6])
    counts = np.bincount(settle(given, rows, 8, "repeat", rng()), minlength=8)
    assert counts.sum() == 8 and set(counts[rows]) == {2, 3}
    filled = settle(given, rows, 6, "others", rng())
    assert set(rows) < set(filled) and len(set(filled)) == 6
    for fill, nothing in (("end", rows), ("repeat", rows[:0])):
        with pytest.raises(TooFewError, match=rf"^{len(nothing)} samples are selected, the block takes 8$"):
            settle(given, nothing, 8, fill, rng())


def block_of(remedy: str, wanted: int, past=()) -> Examples:
    c = smoke.get_config()
    c.loop.update(num_examples=wanted, num_samples=8)
    c.sweep.update(cycles=("full",), fresh_ratios=(0.0,), remedies=(remedy,))
    c = resolve(c)
    given = pool(generation=1)
    written = Written(given.samples, given.verdicts, {"nats_0": np.arange(8.0), "nats_1": np.arange(8.0) + 100})
    return incoming_block(c, c.cells()[0], 1, written, past)


def test_a_chain_chooses_link_by_link_and_keeps_provenance():
    block = block_of("verified|unique", 4)
    assert sorted(block.index.tolist()) == [0, 2, 5, 6]
    assert all(LANGUAGE.verify(block.expressions)["semantic"])
    block = block_of("verified", 8)
    assert all(LANGUAGE.verify(block.expressions)["semantic"]) and set(block.index.tolist()) == {0, 2, 3, 5, 6, 7}
    with pytest.raises(TooFewError):
        block_of("verified(fill=end)|unique", 8)


def test_surplexity_looks_back_on_earlier_generations():
    earlier = pool(generation=0)
    past = [Written(earlier.samples, earlier.verdicts, {})]
    assert set(block_of("surplexity", 4, past).generation.tolist()) == {0}
    given = block_of("surplexity(pool=1)", 4, past)
    assert len(given) == 4 and set(given.generation.tolist()) == {1}


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("verifid", r"no 'verifid'; did you mean verified\?"),
        ("unique(copy=1)", r"unique has no parameter 'copy'; did you mean copies\?"),
        ("unique(copies=0)", "copies = 0: allowed are integers from 1"),
        ("truncated(gamma=1.5)", "gamma = 1.5: allowed are 0 < gamma <= 1"),
        ("truncated|focal", "both act at the place 'loss'"),
        ("negative|guided", "both act at the place 'combine'"),
        ("guided(weight=11)", "weight = 11.0: allowed are 0 to 10"),
        ("edit(threshold=1.5)", "threshold = 1.5: allowed are 0 to 1"),
        ("edit(top_k=0)", "top_k = 0: allowed are integers from 1 to 255"),
        ("detector(oversample=0.5)", "oversample = 0.5: allowed are numbers from 1 to 1000"),
        ("detector(oracl=True)", r"detector has no parameter 'oracl'; did you mean oracle\?"),
        ("unique|unique(copies=2)", "each remedy once"),
        ("none|unique", "none stands alone"),
        ("verified(level=true)", "level = true: allowed are syntactic, semantic, in_support"),
        ("verified(keep_true=0)", "nothing would be left"),
        ("unique(fill=fresh)", "fill = fresh: allowed are repeat, others, end"),
    ],
)
def test_senseless_remedies_are_refused_in_one_line(spelling, message):
    c = smoke.get_config()
    c.sweep.remedies = (spelling,)
    with pytest.raises(ValueError, match=rf"^sweep\.remedies = {re.escape(spelling)}: .*{message}") as error:
        resolve(c)
    assert "\n" not in str(error.value)


def test_what_the_language_or_the_learner_lacks_is_refused():
    plain = Language(name="plain")
    for spelling, lacks in (
        ("verified", "verdicts"),
        ("detector(oracle=True)", "exact probabilities"),
        ("depth_quota", "exact depths"),
    ):
        with pytest.raises(UsageError, match=f"needs {lacks}, the language plain has none"):
            check_remedies(spelling, plain, True, "transformer")
    check_remedies("detector", plain, True, "transformer")  # what is learnt needs neither
    for spelling in ("truncated", "golden", "negative", "guided", "edit", "surplexity", "unique|detector(oracle=True)"):
        with pytest.raises(UsageError, match="acts on a network, memoriser is none"):
            check_remedies(spelling, LANGUAGE, False, "memoriser")
    check_remedies("verified|unique|detector|sampled", LANGUAGE, False, "memoriser")


def test_cells_are_named_after_canonical_spellings_and_controls_have_no_remedy():
    c = smoke.get_config()
    c.sweep.update(
        cycles=("full", "fresh"), fresh_ratios=(0.0, 1.0), remedies=("none", "verified | unique( copies = 1 )")
    )
    cells = resolve(c).cells()
    assert [cell.name for cell in cells] == [
        "full_fresh0_seed0",
        "full_fresh0_seed0_verified-unique",
        "full_fresh1_seed0",
        "fresh_fresh1_seed0",
    ]
    assert canonical_remedies("none") == "none" and Cell("full", 0.0, 0).remedy == "none"
    for name, cls in REMEDIES.items():
        assert canonical_remedies(name) == name and dataclasses.is_dataclass(cls)
        assert (cls.__doc__ or "").strip() and remedies_of(name) == (cls(),)


def test_costs_count_what_remedies_take():
    c = smoke.get_config()
    remedies = ("none", "verified", "negative(steps=7)", "guided(steps=5)", "edit")
    c.sweep.update(cycles=("full",), fresh_ratios=(0.5,), remedies=remedies)
    c = resolve(c)
    none, verified, negative, guided, _ = (costs(c, cell, 2) for cell in c.cells())
    assert none == {
        "samples_written": 64,
        "samples_verified": 0,
        "extra_steps": 0,
        "real_examples": 64 + 2 * 32,
        "examples_edited": 0,
        "examples_broken": 0,
    }
    assert verified == none | {"samples_verified": 64}
    assert negative == none | {"samples_written": 128, "extra_steps": 7}
    assert guided == none | {"samples_written": 128, "extra_steps": 5}
    cell = c.cells()[-1]
    edited = real_examples(c, cell.seed, 3, 32).expressions
    edited[3] = LANGUAGE.encode(["(not"])[0]  # broken
    edited[5] = next(e for e in LANGUAGE.encode(["(not False)", "(True or True)"]) if e != edited[5])
    assert costs(c, cell, 2, edited) == none | {"examples_edited": 2, "examples_broken": 1}
