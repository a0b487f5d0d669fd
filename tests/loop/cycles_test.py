import dataclasses
from collections import Counter

import numpy as np
import pytest

from logic.boolean.language import Boolean
from loop.blocks import Written, incoming_block, initial_training_set, next_training_set
from loop.cell import Cell
from loop.config import Config, LoopConfig
from loop.cycles import CYCLES
from loop.examples import GENERATED, REAL, Examples, concatenate

M, GENERATIONS = 41, 5


def config(share=None, samples=80):
    return Config(
        language=Boolean(1, 3),
        loop=LoopConfig(generations=GENERATIONS, num_examples=M, num_samples=samples, renewal_share=share),
    )


def written(generation: int, n: int = 80) -> list[bytes]:
    """Samples that tell who wrote them, where, and that are in no real data; the first is empty."""
    return [b"", *(bytes([2, 7, generation + 1, i % 7 + 1, i // 7 + 1]) for i in range(1, n))]


def history(cell, c):
    """D_0 … D_4 and the blocks D_0, N_0, … N_3."""
    sets, blocks = [initial_training_set(c, cell.seed)], [initial_training_set(c, cell.seed)]
    for t in range(GENERATIONS - 1):
        samples = Examples.written(written(t), t, sets[-1])
        blocks.append(incoming_block(c, cell, t, Written(samples, {}, {})))
        sets.append(next_training_set(c, cell, t, sets[-1], blocks))
    return sets, blocks


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("cycle", CYCLES)
@pytest.mark.parametrize("share", [None, 0.3])
def test_sizes_real_share_and_provenance(cycle, ratio, share):
    c, cell = config(share), Cell(cycle, 1.0 if cycle == "fresh" else ratio, seed=1)
    ratio = cell.fresh_ratio
    b = round({"incremental": share or 0.5, "expanding": share or 1.0}.get(cycle, 1.0) * M)
    sets, blocks = history(cell, c)

    for t, block in enumerate(blocks[1:]):
        fresh = 0 if cycle == "rescue" and t < 3 else round(ratio * b)
        assert Counter(block.source.tolist()) == Counter([GENERATED] * (b - fresh) + [REAL] * fresh)
        made = block.source == GENERATED
        assert set(block.generation[made].tolist()) <= {t}
        assert set(block.generation[~made].tolist()) <= {t + 1}
        assert len(set(block.index[made].tolist())) == b - fresh  # without replacement
        assert len(set(block.index[~made].tolist())) == fresh

    origin = {}  # every example is in a block, under its provenance
    for block in blocks:
        for e, *where in zip(block.expressions, block.source, block.generation, block.index, strict=True):
            origin[tuple(map(int, where))] = e
    for t, d in enumerate(sets):
        assert len(d) == c.train_size(cycle, t) == (M + t * b if cycle == "expanding" else M)
        keys = [tuple(map(int, k)) for k in zip(d.source, d.generation, d.index, strict=True)]
        assert len(set(keys)) == len(keys)
        assert [origin[k] for k in keys] == d.expressions
        for (source, generation, index), e in zip(keys, d.expressions, strict=True):
            if source == GENERATED:
                assert written(generation)[index] == e
        if t == 0 or (ratio == 1.0 and cycle != "rescue"):
            assert d.real_fraction == 1.0

    last, t = sets[-1], GENERATIONS - 2
    if cycle in ("full", "fresh"):
        assert last.expressions == blocks[-1].expressions
        assert last.real_fraction == pytest.approx(round(ratio * M) / M)
    if cycle == "rescue":
        assert last.expressions == blocks[-1].expressions
    if cycle == "window":
        recent = {e for block in blocks[-3:] for e in block.expressions}
        assert set(last.expressions) <= recent and set(last.generation.tolist()) <= {t - 2, t - 1, t, t + 1}
    if cycle == "expanding":
        assert last.expressions == [e for block in blocks for e in block.expressions]
    if cycle == "incremental":
        assert last.expressions[M - b :] == blocks[-1].expressions
        assert set(last.expressions[: M - b]) <= set(sets[-2].expressions)
    if cycle == "balanced":
        ages = Counter((s, g) for s, g in zip(last.source.tolist(), last.generation.tolist(), strict=True))
        per_block = [ages[(GENERATED, k)] + ages[(REAL, k + 1)] for k in range(t + 1)]
        assert sorted([ages[(REAL, 0)], *per_block]) == [8, 8, 8, 8, 9]


def test_balanced_takes_equal_shares_at_every_generation():
    c, cell = config(), Cell("balanced", 0.0, 0)
    for t, d in enumerate(history(cell, c)[0][1:]):
        shares = Counter(d.generation[d.source == GENERATED].tolist())
        assert set(shares) == set(range(t + 1))
        assert max([*shares.values(), (d.source == REAL).sum()]) - min(shares.values()) <= 1


def test_balanced_with_more_blocks_than_examples_starves_no_block():
    blocks = [Examples.written([bytes([2, 7, t % 7 + 1])] * 5, t, Examples.drawn([], 0)) for t in range(9)]
    newest = [
        (CYCLES["balanced"].next_set(4, blocks[0], blocks, np.random.default_rng(seed)).generation == 8).sum()
        for seed in range(200)
    ]
    assert set(newest) == {0, 1}
    assert abs(np.mean(newest) - 4 / 9) < 0.15


@pytest.mark.slow
def test_subsample_is_uniform_over_all_blocks():
    counts: Counter = Counter()
    for seed in range(200):
        d = history(Cell("subsample", 0.0, seed), config())[0][-1]
        counts.update(np.where(d.source == REAL, -1, d.generation).tolist())
    assert set(counts) == {-1, 0, 1, 2, 3}
    expected = 200 * M / 5
    assert all(abs(n - expected) < 5 * expected**0.5 for n in counts.values())


def test_fresh_data_are_new_every_generation_and_common_to_cells_of_equal_seed():
    c = config()
    control = history(Cell("fresh", 1.0, 1), c)[0]
    assert len({tuple(d.expressions) for d in control}) == GENERATIONS
    half = history(Cell("full", 0.5, 1), c)[0]
    assert half[0].expressions == control[0].expressions
    other = history(Cell("fresh", 1.0, 2), c)[0]
    assert other[0].expressions != control[0].expressions


def test_choices_are_random_and_repeat():
    c, cell = config(), Cell("incremental", 0.25, 3)
    a, b = history(cell, c)[0][-1], history(cell, c)[0][-1]
    assert a.expressions == b.expressions
    assert a.expressions != history(Cell("incremental", 0.25, 4), c)[0][-1].expressions


def test_roots_follow_the_oldest_ancestor():
    first = Examples.drawn([b"\x06", b"\x07"], 0)
    one = Examples.written([b"\x06", b"\x05", b"\x06"], 0, first)
    assert one.root.tolist() == [-1, 0, -1]  # True was drawn for D_0; the model of generation 0 made up `not`
    mixed = concatenate([one, Examples.drawn([b"\x05", b"\x04"], 1)])
    two = Examples.written([b"\x05", b"\x06", b"\x04", b"\x07"], 1, mixed)
    # M_0 wrote `not` before it was drawn for D_1; False did not survive generation 0 and is new.
    assert two.root.tolist() == [0, -1, -2, 1]
    assert mixed.take(np.array([3, 0])).root.tolist() == [-2, -1]


def test_first_data_from_a_pool_repeat_its_examples_and_are_as_many():
    whole, pooled = config(), dataclasses.replace(config(), loop=dataclasses.replace(config().loop, first_pool=6))
    pool = initial_training_set(whole, 3).expressions[:6]
    drawn = initial_training_set(pooled, 3)
    assert len(drawn) == M and set(drawn.expressions) <= set(pool) and set(drawn.source) == {REAL}
    assert drawn.expressions == initial_training_set(pooled, 3).expressions
    draws = Counter(i for seed in range(300) for i in _places(pooled, seed, whole))
    assert np.allclose([draws[i] / sum(draws.values()) for i in range(6)], 1 / 6, atol=0.02)  # each as likely


def _places(pooled, seed, whole):
    """Where in the pool the examples of a D_0 are, of pools without repeats."""
    pool = initial_training_set(whole, seed).expressions[:6]
    return [pool.index(e) for e in initial_training_set(pooled, seed).expressions] if len(set(pool)) == 6 else []


@pytest.mark.parametrize("pool", [0, M + 1])
def test_a_pool_that_cannot_be_is_refused(pool):
    with pytest.raises(
        ValueError, match=f"loop.first_pool = {pool}: allowed are integers from 1 to loop.num_examples = 41"
    ):
        LoopConfig(num_examples=M, first_pool=pool)
