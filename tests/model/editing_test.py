import jax
import numpy as np
import pytest
import scipy.stats

from model.editing import edit_expressions
from model.likelihood import lay_out_expressions
from model.transformer import forward
from tests.model.transformer_test import TINY, random_params

PARAMS = random_params(TINY)
FORWARD = jax.jit(lambda ids_BT: jax.nn.softmax(forward(TINY, PARAMS, ids_BT)))
EDIT = jax.jit(edit_expressions, static_argnums=0)
EXPRESSIONS = [np.random.default_rng(0).integers(1, 8, n).astype(np.uint8).tobytes() for n in (0, 1, 5, 9, 12)] * 8


def edited(expressions, threshold: float, top_k: int, seed: int = 0) -> list[bytes]:
    ids, length = lay_out_expressions(expressions, TINY.context_length)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(seed), np.arange(len(expressions)))
    rows = EDIT(TINY, PARAMS, ids, length, keys, threshold, top_k)
    return [bytes(row[:n]) for row, n in zip(np.asarray(rows), length, strict=True)]


def probabilities(e: bytes) -> np.ndarray:
    """Of every symbol after what stands before each place of an expression, float64 [symbols, 8]."""
    read = np.zeros((1, TINY.context_length), int)
    read[0, 1 : len(e)] = list(e[:-1])
    return np.asarray(FORWARD(read), np.float64)[0, : len(e)]


@pytest.mark.slow
def test_symbols_up_to_the_threshold_stay(monkeypatch):
    monkeypatch.setattr("model.likelihood.CPU_SYMBOLS", 7 * TINY.context_length)
    some = EXPRESSIONS[:-1]  # the last batch is not full
    new = edited(some, 0.15, 8)
    differs = 0
    for before, after in zip(some, new, strict=True):
        assert len(before) == len(after) and 0 not in after
        for i, p in enumerate(probabilities(before)):
            assert after[i] == before[i] or p[before[i]] > 0.15
            differs += after[i] != before[i]
    assert differs > 10
    assert edited(some, 1.0, 8) == some  # nothing is more probable
    assert edited(some, 0.15, 8, seed=1) != new


@pytest.mark.slow
def test_the_most_probable_symbol_alone_is_put_everywhere_with_one_candidate():
    for before, after in zip(EXPRESSIONS, edited(EXPRESSIONS, 0.0, 1), strict=True):
        # After what stood there before, not after what the edit has put there.
        assert list(after) == [1 + int(np.argmax(p[1:])) for p in probabilities(before)]


@pytest.mark.slow
@pytest.mark.parametrize("top_k", [3, 8])
def test_new_symbols_have_the_models_distribution_over_the_candidates(top_k):
    e = bytes([3, 1])
    new = edited([e] * 20_000, 0.0, top_k)
    for i, p in enumerate(probabilities(e)):
        candidates = 1 + np.argsort(-p[1:])[: min(top_k, 7)]  # `<eos>` is none
        observed = np.bincount([x[i] for x in new], minlength=8)
        assert observed.sum() == observed[candidates].sum()
        expected = p[candidates] / p[candidates].sum() * 20_000
        assert scipy.stats.chisquare(observed[candidates], expected).pvalue > 1e-3
