"""What became of the training set in the samples: new expressions, old ones of real descent, and the distance."""

from collections import Counter

import numpy as np

from eval.measures.measure import DISTANCE, WRITES, Measure
from eval.measures.observation import Observation


def novelty(o: Observation) -> float:
    """Share of the samples that are not in the training set."""
    return float(np.mean([e not in o.train_counts for e in o.expressions]))


def real_root_share(o: Observation) -> float:
    """Share of the samples whose expression has come down, model by model, from a draw of the real distribution."""
    return float(np.mean(o.roots < 0))


def jensen_shannon(a: Counter, b: Counter) -> float:
    """Jensen-Shannon divergence of two empirical distributions in nats: symmetric, from 0 to log 2.

    The plug-in estimate: biased upwards, all the more the larger the support is against the samples. Two samples of
    one distribution show how much.
    """
    total = 0.0
    for x, y in ((a, b), (b, a)):
        n, m = x.total(), y.total()
        total += sum(c / n * np.log(2 * (c / n) / (c / n + y[e] / m)) for e, c in x.items()) / 2
    return float(total)


_NEEDS = ("samples", "training_set")
NOVELTY = Measure(
    "novelty",
    novelty,
    "novelty (not in the training set)",
    WRITES,
    "",
    "fraction of samples not in the training set",
    _NEEDS,
)
REAL_ROOT = Measure(
    "real_root_share",
    real_root_share,
    "samples of real descent",
    DISTANCE,
    "",
    "fraction of samples whose expression descends from real data",
    _NEEDS,
)
JS_TRAINING = Measure(
    "js_training",
    lambda o: jensen_shannon(o.counts, o.train_counts),
    "Jensen–Shannon divergence from the training set",  # noqa: RUF001 (two names, joined by a dash)
    DISTANCE,
    "nats",
    "Jensen-Shannon divergence of samples and training set: what one generation gains or loses",
    _NEEDS,
)
