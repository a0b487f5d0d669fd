"""How large the samples are."""

import numpy as np

from eval.measures.measure import WRITES, Measure
from eval.measures.observation import Observation


def length_mean(o: Observation) -> float:
    """Symbols per sample."""
    return float(np.fromiter(map(len, o.expressions), np.int64, len(o.expressions)).mean())


def depth_mean(o: Observation) -> float | None:
    """Mean depth of the samples, whether or not they are correct."""
    depth_N = o.language.depth(o.expressions)
    return None if depth_N is None else float(depth_N.mean())


LENGTH = Measure("length_mean", length_mean, "mean length", WRITES, "symbols", "symbols per sample")
DEPTH = Measure(
    "depth_mean",
    depth_mean,
    "mean depth",
    WRITES,
    "",
    "deepest bracket nesting of a sample, correct or not; mean over samples",
    needs=("samples", "depth"),
)
