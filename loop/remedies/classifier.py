"""Real or generated? Logistic regression on counts of n-grams: small, convex, and without randomness, so that a run
that goes on learns the same again.

With x the counts of all n-grams of one to three symbols, the `<eos>` at both ends included, that occur in what is
learnt from, the probability that a sample is generated is

    q = 1 / (1 + exp(-(w·x + b))),

and w, b minimise the log loss plus |w|²/2. The examples of each kind are weighed so that generated ones make up the
share `prior` of their number: then q is to be read as that of a mixture with that prior.

Axes: N examples, F n-grams.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

LONGEST = 3  # symbols of an n-gram


def log_not_generated(real: Sequence[bytes], generated: Sequence[bytes], prior: float) -> np.ndarray:
    """log(1 - q) of the generated samples, float64, having learnt from both kinds."""
    from scipy import optimize  # slow to import

    if not generated:
        return np.zeros(0)

    x_NF = _counts([*real, *generated])
    x_FN = x_NF.T.tocsr()
    sizes = [len(real), len(generated)]
    sign_N = np.repeat([-1.0, 1.0], sizes)
    weight_N = sum(sizes) * np.repeat([(1 - prior) / sizes[0], prior / sizes[1]], sizes)

    def score(w_F: np.ndarray) -> np.ndarray:  # the last one is b, which nothing keeps small
        return x_NF @ w_F[:-1] + w_F[-1]

    def loss(w_F: np.ndarray) -> tuple[float, np.ndarray]:
        margin_N = sign_N * score(w_F)
        slope_N = -weight_N * sign_N * np.exp(-np.logaddexp(0, margin_N))
        value = weight_N @ np.logaddexp(0, -margin_N) + w_F[:-1] @ w_F[:-1] / 2
        return float(value), np.append(x_FN @ slope_N + w_F[:-1], slope_N.sum())

    def curvature(w_F: np.ndarray, along_F: np.ndarray) -> np.ndarray:
        score_N = score(w_F)
        bend_N = weight_N * np.exp(-np.logaddexp(0, score_N) - np.logaddexp(0, -score_N)) * score(along_F)
        return np.append(x_FN @ bend_N + along_F[:-1], bend_N.sum())

    start = np.zeros(x_NF.shape[1] + 1)
    found = optimize.minimize(loss, start, jac=True, hessp=curvature, method="Newton-CG")
    return -np.logaddexp(0, score(found.x)[len(real) :])


def _counts(examples: Sequence[bytes]) -> Any:
    """Counts of n-grams, a sparse matrix, float64_NF."""
    from scipy import sparse

    flat = np.frombuffer(b"".join(b"\0" + e + b"\0" for e in examples), np.uint8).astype(np.int64)
    row = np.repeat(np.arange(len(examples)), [len(e) + 2 for e in examples])
    rows, keys, key = [], [], np.zeros(len(flat), np.int64)
    for n in range(1, LONGEST + 1):
        within = row[: len(row) - n + 1] == row[n - 1 :]
        key = key[: len(within)] + (flat[n - 1 :] + 1) * 257 ** (n - 1)
        rows.append(row[: len(within)][within])
        keys.append(key[within])
    known, column = np.unique(np.concatenate(keys), return_inverse=True)
    ones = np.ones(len(column))
    return sparse.csr_matrix((ones, (np.concatenate(rows), column)), shape=(len(examples), len(known)))
