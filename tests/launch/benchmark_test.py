import dataclasses
import itertools
import json
import sys
import time
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch.benchmark import SUITES, run_suite
from launch.benchmarks import diversity, ensemble, gpt2, nanogpt, sample, train, verify
from launch.benchmarks.case import Contender, UnavailableError, compare, timed
from launch.benchmarks.machine import matmul_flops
from launch.benchmarks.sizes import SIZES, Options, Size
from launch.planning.flops import forward_flops, train_flops
from logic.boolean.symbols import decode
from logic.boolean.verifier import verify as verdicts
from loop.config import TrainConfig
from model.config import ModelConfig
from model.models import num_params
from model.transformer import forward, init_params
from tests import commands

MICRO = Size(
    "micro",
    num_layers=1,
    num_heads=2,
    width=16,
    context_length=16,
    sample_context=16,
    max_depth=2,
    batch_size=4,
    num_samples=32,
    num_uncached=8,
    generation_depth=2,
    generation_steps=6,
    generation_examples=40,
    ensemble_steps=2,
)
QUICK = Options(repeats=1, min_seconds=0.0, members=(1,), num_expressions=60, cells=2, temperatures=2)
CHEAP = ("verify", "diversity", "sample")  # enough to be measured twice
PEAK = 1e12  # stands for the matrix product where its speed does not matter
FIELDS = {
    *("suite", "case", "size", "ours", "peer", "peer_name"),
    *("ratio_median", "ratio_min", "ratio_max", "unit", "share_of_peak"),
}
PEERS_MODULES = ("torch", "transformers", "Levenshtein", "sympy")


@pytest.fixture(scope="module")
def rows():
    """Every suite, without the optional peers, as where they are not installed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in PEERS_MODULES:
            patch.setitem(sys.modules, name, None)
        for module in (train, sample, ensemble):
            patch.setattr(module, "matmul_flops", lambda dtype: PEAK)
        return [
            row
            for suite in SUITES
            for row in run_suite(suite, MICRO, dataclasses.replace(QUICK, repeats=1 + (suite in CHEAP)))
        ]


@pytest.mark.slow
def test_every_suite_prints_its_cases_with_all_fields(rows):
    assert {row["suite"] for row in rows} == set(SUITES)
    assert len({(row["suite"], row["case"]) for row in rows}) == len(rows)
    for row in rows:
        assert row.keys() >= FIELDS
        assert json.loads(json.dumps(row, allow_nan=False)) == row
        assert row["ours"] > 0
        assert row["unit"].endswith("/s")


@pytest.mark.slow
def test_a_peer_that_is_not_installed_is_skipped_and_named(rows):
    there = {("verify", "eval"), ("verify", "eval_from_text"), ("sample", "uncached")}
    for row in rows:
        ratio = [row[f"ratio_{x}"] for x in ("median", "min", "max")]
        if (row["suite"], row["case"]) in there or row["suite"] == "axes" or row["case"].startswith("distinct_"):
            assert "skipped" not in row
            # The median of the rates lies between the least and the largest ratio, whatever was measured.
            assert ratio[1] * (1 - 1e-9) <= row["ours"] / row["peer"] <= ratio[2] * (1 + 1e-9)
            assert ratio[1] <= ratio[0] <= ratio[2]
        else:
            whole = row["case"] == "whole_batch"  # of so few symbols, batches are whole
            assert whole or row["skipped"].removesuffix(" is not installed") in PEERS_MODULES
            assert not whole or row["skipped"] == "ours takes batches whole"
            assert row["peer"] is None
            assert ratio == [None] * 3


@pytest.mark.slow
def test_share_of_peak_is_model_operations_over_those_of_a_product(rows):
    for row in rows:
        if row["suite"] == "train":
            done = row["ours"] * train_flops(MICRO.model())
            assert row["share_of_peak"] == pytest.approx(done / PEAK)
        assert (row["share_of_peak"] is None) == (row["suite"] in ("verify", "diversity", "generation", "axes"))


@pytest.mark.slow
def test_the_matrix_product_is_as_fast_as_numpys():
    a = np.ones((1_024, 1_024), np.float32)
    seconds = min(timed(lambda _: a @ a)() for _ in range(5))
    assert 0.2 < matmul_flops("float32") / (2 * 1_024**3 / seconds) < 5


def test_ratios_are_of_neighbouring_measurements():
    order, ours, peer = [], iter([9.0, 1.0, 2.0, 4.0]), iter([9.0, 3.0, 4.0, 4.0])

    def take(name, seconds):
        order.append(name)
        return next(seconds)

    row = compare(
        *("suite", "case", "size", "things/s"),
        ours=Contender(lambda: take("A", ours), 10),
        peer_name="peer",
        peer=lambda: Contender(lambda: take("B", peer), 5),
        repeats=3,
        flops_per_unit=2.0,
        peak_flops=100.0,
    )
    assert order == list("ABABABAB")
    assert row["ours"] == 5.0  # of 10, 5, 2.5; the first call is not measured
    assert row["peer"] == 1.25  # of 5/3, 5/4, 5/4
    assert (row["ratio_min"], row["ratio_median"], row["ratio_max"]) == (2.0, 4.0, 6.0)
    assert row["share_of_peak"] == 0.1


def test_a_measurement_repeats_until_its_time_has_passed_on_new_input(monkeypatch):
    clock = itertools.count(step=0.25)
    given: list[int] = []
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    run = timed(given.append, 0.7, lambda call: call * 10)
    assert run() == 0.25
    assert run() == 0.25
    assert given == [0, 10, 20, 30, 40, 50]


def test_out_of_memory_ends_a_mode_with_a_line_that_says_so(monkeypatch):
    class Members:
        def __init__(self, config, size, count, mode):
            self.full = mode == "vmap" and count > jax.device_count()

        def chunk(self, _):
            if self.full:
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes")
            time.sleep(1e-3)

    monkeypatch.setattr(ensemble, "Members", Members)
    monkeypatch.setattr(ensemble, "matmul_flops", lambda dtype: PEAK)
    monkeypatch.setitem(sys.modules, "torch", None)
    options = dataclasses.replace(QUICK, members=(1, 2, 4), modes=("vmap", "map"))
    rows = list(run_suite("ensemble", MICRO, options))
    assert [row["case"] for row in rows] == ["vmap_1", "vmap_2", "map_1", "map_2", "map_4"]
    assert rows[1]["ours"] is None
    assert rows[1]["failed"] == "out of memory with 2 members on a device"
    assert rows[1].keys() >= FIELDS
    assert rows[4]["ratio_to_solo"] == rows[4]["ours"] / rows[2]["ours"]


@pytest.mark.slow
def test_other_errors_are_not_taken_for_full_memory(monkeypatch):
    def members(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(ensemble, "Members", members)
    with pytest.raises(RuntimeError, match="a bug"):
        list(run_suite("ensemble", MICRO, QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("heads, width, layers, context", [(2, 64, 2, 32), (4, 128, 3, 64), (4, 64, 1, 96)])
def test_operations_equal_those_that_xla_counts(heads, width, layers, context):
    model = ModelConfig(
        num_layers=layers, num_heads=heads, width=width, context_length=context, dropout=0.0, vocab_size=8
    )
    ids_BT = jnp.zeros((2, context), jnp.int32)
    params = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))

    def count(f):
        costs = jax.jit(f).lower(params).cost_analysis()
        assert costs is not None
        return costs["flops"] / ids_BT.size

    # XLA counts everything: norms, softmax and activations come on top of the matrix products. (Of windows of 128
    # symbols and more, attention computes three quarters of the square that our count has whole.)
    forwards = count(lambda p: forward(model, p, ids_BT))
    assert 1 <= forwards / forward_flops(model) < 1.15
    both = count(jax.grad(lambda p: forward(model, p, ids_BT).sum()))
    assert 1 <= both / train_flops(model) < 1.15


def test_attended_positions_add_their_share_of_operations():
    model = SIZES["small"].model()
    more = forward_flops(model, 101) - forward_flops(model, 100)
    assert more == model.num_layers * 4 * model.width
    assert forward_flops(model) == forward_flops(model, model.context_length)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_the_sampled_weights_write_expressions_of_real_length(size):
    size = SIZES[size]
    model = size.model(context_length=size.sample_context)
    params = sample.params_with_real_lengths(model, size.language, temperature=0.8)
    # The chance of every length by the model's own probabilities, for some sequence without an end.
    ids_1T = jnp.asarray(np.random.default_rng(0).integers(1, 8, (1, model.context_length)).astype(np.int32))
    ids_1T = ids_1T.at[0, 0].set(0)
    logits_1TV = jax.jit(forward, static_argnums=0)(model, params, ids_1T)
    end_T = np.asarray(jax.nn.softmax(logits_1TV[0] / 0.8, axis=-1))[:, 0]
    length = end_T * np.cumprod(np.concatenate([[1.0], 1 - end_T[:-1]]))
    real = size.language.length_distribution()
    assert np.abs(length[: len(real)] - real).sum() / 2 < 0.05  # total variation
    mean = (length * np.arange(len(length))).sum() / length.sum()
    assert mean == pytest.approx((real * np.arange(len(real))).sum(), rel=0.03)


@pytest.mark.slow
def test_ours_and_the_sampler_without_a_cache_write_the_same_lengths():
    model = MICRO.model(context_length=MICRO.sample_context)
    params = sample.params_with_real_lengths(model, MICRO.language, 0.8)
    real = MICRO.language.length_distribution()
    mean = (real * np.arange(len(real))).sum()
    n = 2_000
    config = sample.SampleConfig(temperature=0.8)
    for ids in (sample.product_sampler(model, config, n)(params, 0), sample.uncached_sampler(model, 0.8, n)(params, 0)):
        ended = ids == 0
        assert (ended == np.maximum.accumulate(ended, axis=1)).all()
        assert (~ended).sum(axis=1).mean() == pytest.approx(mean, rel=0.05)


def test_all_judges_agree():
    expressions = verify.samples(400)
    ours = verdicts(expressions, verify.GRAMMAR)
    text = decode(expressions)
    assert 0 < ours.semantic.sum() < ours.syntactic.sum() < 400
    assert [verify.python_eval(t) for t in text] == ours.semantic.tolist()
    assert [verify.sympy_built(t) for t in text] == ours.semantic.tolist()
    assert [verify.sympy_parsed(t) for t in text[:100]] == ours.semantic[:100].tolist()


@pytest.mark.parametrize("text", ["__import__('os')", "1", "(True, True)", "True + True", "not", "True(False)"])
def test_pythons_eval_judges_no_other_code(text):
    assert verify.python_eval(text) is False


def test_all_measures_of_diversity_agree():
    expressions = diversity.samples(80, 30, seed=1)
    assert (len(expressions), len(set(expressions))) == (80, 30)
    lines = [e.decode("latin-1") for e in expressions]
    exact = diversity.levenshtein_diversity(Counter(expressions))
    assert diversity.all_pairs(lines, workers=1) == pytest.approx(exact, rel=1e-5)
    pytest.importorskip("Levenshtein")
    assert diversity.python_loop(lines) == pytest.approx(exact)


@pytest.mark.slow
@pytest.mark.parametrize(("maker", "needs"), [(gpt2, "transformers"), (nanogpt, "torch")])
def test_gpt2_with_our_weights_gives_our_logits(maker, needs):
    torch = pytest.importorskip("torch")
    pytest.importorskip(needs)
    kind = {gpt2: gpt2.HUGGING_FACE, nanogpt: nanogpt.NANOGPT}[maker]
    model = SIZES["tiny"].model()
    params = jax.jit(init_params, static_argnums=0)(model, jax.random.key(1))
    params = jax.tree.map(lambda x: x + 0.05 * jax.random.normal(jax.random.key(2), x.shape), params)
    peer = kind.build(model, gpt2.device(QUICK)).eval()
    maker.load(peer, params)
    ids_BT = np.random.default_rng(0).integers(0, 8, (3, model.context_length))
    with torch.no_grad():
        theirs = kind.logits(peer, torch.from_numpy(ids_BT)).numpy()
    ours = np.asarray(forward(model, params, ids_BT))
    assert np.abs(ours).max() > 0.5
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.slow
def test_nanogpts_model_trains_and_drops_out():
    torch = pytest.importorskip("torch")
    config = TrainConfig(batch_size=8, learning_rate=1e-2)
    model = MICRO.model(dropout=0.1)
    peer = train.Peer(model, config, train.training_data(MICRO), QUICK, False, nanogpt.NANOGPT)
    assert sum(p.numel() for p in peer.trainer.model.parameters()) == num_params(model)
    batch = gpt2.draw_windows(peer.stream, np.random.default_rng(1), *peer.shape)
    ids_BT = torch.from_numpy(batch[:, :-1].astype(np.int64))
    assert not torch.equal(*(peer.trainer.model(ids_BT) for _ in range(2)))
    first = peer.trainer.step(batch).item()
    peer.run(30)
    assert peer.trainer.step(batch).item() < 0.8 * first


def test_the_best_peer_is_the_one_that_ours_gains_least_on(monkeypatch):
    class Fake:
        def __init__(self, *args):
            self.seconds = {False: 2.0, True: 1.0}[args[4]] * (2 if args[5] is gpt2.HUGGING_FACE else 1)

        def run(self, steps):
            return self.seconds

    monkeypatch.setattr(train, "Peer", Fake)
    monkeypatch.setattr(train.Ours, "__init__", lambda self, *args: setattr(self, "parts", 1))
    monkeypatch.setattr(train.Ours, "run", lambda self, steps: 0.5)
    monkeypatch.setattr(train, "matmul_flops", lambda dtype: PEAK)
    *rows, best, whole = train.suite(MICRO, QUICK)
    assert [row["case"] for row in rows] == ["eager", "compile", "nanogpt_eager", "nanogpt_compile"]
    assert [row["ratio_median"] for row in rows] == [8, 4, 4, 2]
    assert best == {**rows[-1], "case": "best"}
    assert (whole["case"], whole["ratio_median"]) == ("whole_batch", None)


@pytest.mark.slow
def test_gpt2_trains_and_samples():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    config = TrainConfig(batch_size=8, learning_rate=1e-2)
    peer = train.Peer(MICRO.model(), config, train.training_data(MICRO), QUICK, compiled=False)
    batch = gpt2.draw_windows(peer.stream, np.random.default_rng(1), *peer.shape)
    first = peer.trainer.step(batch).item()
    peer.run(30)
    assert peer.trainer.step(batch).item() < 0.8 * first
    ids = gpt2.generate(peer.trainer.model, 10, 4, 0.8, 16)
    assert ids.shape == (10, 16)
    ended = ids == 0
    assert (ended == np.maximum.accumulate(ended, axis=1)).all()


def test_whatever_stops_a_compiled_peer_makes_it_unavailable():
    def fail():
        raise RuntimeError("no compiler\nmore lines")

    with pytest.raises(UnavailableError, match=r"^RuntimeError: no compiler$"):
        gpt2.attempt(fail)


def run_command(*args):
    return commands.run("launch.benchmark", *args)


@pytest.mark.slow
def test_command_prints_a_header_and_one_json_line_per_case():
    done = run_command("--suite=verify", "--repeats=1", "--min_seconds=0")
    assert done.returncode == 0, done.stderr
    header, *rows = map(json.loads, done.stdout.splitlines())
    assert header["header"] == "launch.benchmark"
    assert header["versions"]["jax"] == jax.__version__
    assert {row["case"] for row in rows} == {"eval", "eval_from_text", "sympy", "sympy_built"}
    assert "sympy_built" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "flag, words",
    [
        ("--suite=trains", "allowed are train, sample, verify"),
        ("--size=large", "allowed are tiny, small, paper"),
        ("--members=0", "allowed are integers from 1"),
        ("--cores=1000", "allowed are 0 to"),
        ("--modes=pmap", "allowed are map, vmap"),
        ("--modes=", "--modes is empty"),
        ("--members=", "--members is empty"),
    ],
)
def test_mistakes_are_named(flag, words):
    done = run_command(flag)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
