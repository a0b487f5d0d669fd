import math
from collections import Counter

import numpy as np
import pytest

from loop.remedies.classifier import log_not_generated

SYMBOLS = np.random.default_rng(0)


def words(n: int, high: int) -> list[bytes]:
    return [SYMBOLS.integers(1, high, SYMBOLS.integers(0, 6)).astype(np.uint8).tobytes() for _ in range(n)]


@pytest.mark.parametrize("prior", [0.5, 0.2])
def test_of_equal_data_nothing_is_known_but_the_prior(prior):
    same = words(30, 4)
    log_p = log_not_generated(same, same[::-1] * 3, prior)
    np.testing.assert_allclose(np.exp(log_p), 1 - prior, atol=1e-4)


def by_newton(real: list[bytes], generated: list[bytes], prior: float) -> np.ndarray:
    """1 - q by Newton's steps on dense counts, which are counted one by one."""
    everything = [b"\0" + e + b"\0" for e in (*real, *generated)]
    counted = [Counter(e[i : i + n] for n in (1, 2, 3) for i in range(len(e) - n + 1)) for e in everything]
    grams = sorted({gram for counts in counted for gram in counts})
    x = np.array([[*(counts[gram] for gram in grams), 1] for counts in counted], float)
    y = np.repeat([0.0, 1.0], [len(real), len(generated)])
    weight = len(y) * np.where(y == 1, prior / len(generated), (1 - prior) / len(real))
    w, penalty = np.zeros(x.shape[1]), np.append(np.ones(len(grams)), 0)
    for _ in range(15):
        q = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (weight * (q - y)) + penalty * w
        w = w - np.linalg.solve((x.T * (weight * q * (1 - q))) @ x + np.diag(penalty), gradient)
    return (1 / (1 + np.exp(x @ w)))[len(real) :]


def test_it_is_the_logistic_regression_of_the_docstring():
    real, generated = words(40, 6), words(70, 4)
    found = np.exp(log_not_generated(real, generated, 0.3))
    np.testing.assert_allclose(found, by_newton(real, generated, 0.3), atol=1e-4)
    assert found.tolist() == np.exp(log_not_generated(real, generated, 0.3)).tolist()  # to the last bit


def test_what_is_written_too_often_looks_generated_and_what_is_real_as_often_does_not():
    real, generated = [b"\1\2"] * 50 + [b"\3\4"] * 50, [b"\1\2"] * 90 + [b"\3\4"] * 10
    human = np.exp(log_not_generated(real, generated, 0.5))
    assert human[0] == pytest.approx(50 / 140, abs=0.03)  # of all that is equal, the real share
    assert human[-1] == pytest.approx(50 / 60, abs=0.03)
    assert log_not_generated(real, [], 0.5).tolist() == []
    assert math.isfinite(log_not_generated([b""], [b"\1" * 30], 0.5)[0])
