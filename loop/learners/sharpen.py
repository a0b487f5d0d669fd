"""How the conditionals of a learner on the host are sharpened: as `model/sampling.py` does those of the transformer.

Axes: B rows, V vocabulary.
"""

import numpy as np

from model.config import SampleConfig


def sharpen(logits_BV: np.ndarray, config: SampleConfig) -> np.ndarray:
    """Log-probabilities of the next symbol after temperature, top-k and top-p, float64_BV; rows sum to one.

    The same as `model.sampling.filter_logits`, ties included: what ties with the last symbol that is kept is kept.
    Temperature 0 takes the most probable symbol, the first one where several tie. Minus infinity stands for a symbol
    that cannot follow; every row needs one that can.
    """
    logits_BV = np.asarray(logits_BV, np.float64)
    if config.temperature == 0:
        chosen_B1 = logits_BV.argmax(axis=1)[:, None]
        return np.where(np.arange(logits_BV.shape[1]) == chosen_B1, 0.0, -np.inf)
    logits_BV = logits_BV / config.temperature
    if 0 < config.top_k < logits_BV.shape[1]:
        least_B1 = np.sort(logits_BV, axis=1)[:, -config.top_k, None]
        logits_BV = np.where(logits_BV >= least_B1, logits_BV, -np.inf)
    if config.top_p < 1:
        descending_BV = np.sort(logits_BV, axis=1)[:, ::-1]
        p_BV = np.exp(log_softmax(descending_BV))
        before_BV = np.cumsum(p_BV, axis=1) - p_BV  # mass of the more probable symbols
        kept_BV = np.where(before_BV < config.top_p, descending_BV, np.inf)
        logits_BV = np.where(logits_BV >= kept_BV.min(axis=1, keepdims=True), logits_BV, -np.inf)
    return log_softmax(logits_BV)


def log_softmax(logits_BV: np.ndarray) -> np.ndarray:
    """Log-probabilities of each row."""
    shifted_BV = logits_BV - logits_BV.max(axis=1, keepdims=True)
    return shifted_BV - np.log(np.exp(shifted_BV).sum(axis=1, keepdims=True))


def draw(log_p_BV: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One symbol per row, int64_B."""
    cumulative_BV = np.cumsum(np.exp(log_p_BV), axis=1)
    # Times the sum, which is one up to rounding: no draw falls behind the last symbol that has a probability.
    threshold_B1 = rng.random((len(log_p_BV), 1)) * cumulative_BV[:, -1:]
    return (cumulative_BV <= threshold_B1).sum(axis=1)
