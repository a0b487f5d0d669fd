import jax
import numpy as np
import pytest

from logic.boolean.language import Boolean
from loop.examples import Examples
from loop.training.data import lay_out, windows


def examples(n: int) -> Examples:
    return Examples.drawn(Boolean(1, 3).sample(n, np.random.default_rng(0)), 0)


def test_stream_holds_every_example_once_split_in_two():
    given = examples(50)
    data = lay_out(given, np.random.default_rng(1), 0.1, (2_000, 60))
    assert (data.train_examples, data.num_examples) == (45, 50)
    stream = data.stream_C[: data.num_symbols].tobytes()
    laid = stream.split(b"\0")[:-1]
    assert sorted(laid) == sorted(given.expressions)
    assert laid != given.expressions
    for start, expression in zip(data.start_E[:50], laid, strict=True):
        assert stream[start : start + len(expression)] == expression
    assert stream[: data.train_symbols].count(0) == 45
    assert not data.stream_C[data.num_symbols :].any()


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_both_splits_get_an_example(fraction):
    data = lay_out(examples(2), np.random.default_rng(1), fraction, (100, 2))
    assert (data.train_examples, data.num_examples) == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("aligned", [True, False])
def test_windows_are_cut_from_their_split(validation, aligned):
    data = lay_out(examples(20), np.random.default_rng(1), 0.5, (1_000, 20))
    bounds = (data.train_symbols, data.num_symbols) if validation else (0, data.train_symbols)
    part = data.stream_C[bounds[0] : bounds[1]].tobytes()
    data = jax.tree.map(jax.numpy.asarray, data)
    batch = np.asarray(windows(data, jax.random.key(0), (64, 15), aligned, validation))
    assert batch.shape == (64, 16)
    circle = part * 3
    starts = {circle.find(row.astype(np.uint8).tobytes()) for row in batch}
    assert -1 not in starts
    if aligned:
        assert not batch[:, 0].any()
        assert len({bytes(row) for row in batch.astype(np.uint8)}) > 5
    else:
        assert batch[:, 0].any()


@pytest.mark.slow
def test_windows_go_round_a_stream_shorter_than_themselves():
    tiny = Examples.drawn([b"\x06", b""], 0)  # `True`, and the empty expression
    data = jax.tree.map(jax.numpy.asarray, lay_out(tiny, np.random.default_rng(0), 0.5, (8, 2)))
    both = {tuple(np.unique(windows(data, jax.random.key(0), (4, 10), True, v)).tolist()) for v in (False, True)}
    assert both == {(0, 6), (0,)}


@pytest.mark.slow
def test_the_first_window_position_is_drawn_from_all():
    data = lay_out(examples(30), np.random.default_rng(1), 0.5, (1_000, 30))
    data = jax.tree.map(jax.numpy.asarray, data)
    batch = np.asarray(windows(data, jax.random.key(3), (3_000, 31), True))
    assert len({row[1:].tobytes() for row in batch}) >= 12  # of 15 examples, some equal


def test_real_validation_replaces_what_was_held_out():
    given = examples(50)
    asked = []

    def real(n: int) -> list[bytes]:
        asked.append(n)
        return [b"\x06"] * n

    mixed = lay_out(given, np.random.default_rng(1), 0.1, (2_000, 60))
    data = lay_out(given, np.random.default_rng(1), 0.1, (2_000, 60), real)
    assert asked == [5]
    assert data.train_symbols == mixed.train_symbols
    np.testing.assert_array_equal(data.stream_C[: data.train_symbols], mixed.stream_C[: mixed.train_symbols])
    assert data.stream_C[data.train_symbols : data.num_symbols].tobytes() == b"\x06\x00" * 5
