"""Random streams outside the loop, each with a tag of its own, so that none repeats what a run draws.

The loop's streams are [seed, generation, purpose] with purposes below 100 (loop/streams.py). NumPy takes missing
numbers for zeros: without a tag, [seed, block] would be a run's own real data. Tags are part of
results: never renumber.
"""

import numpy as np

_GENERATE, _RARE, _DATA_SET, _ESTIMATE = 100, 101, 102, 103


def generate(seed: int, block: int) -> np.random.Generator:
    """A block of the lines of logic.generate."""
    return np.random.default_rng([seed, block, _GENERATE])


def rare() -> np.random.Generator:
    """The draws that say which expressions are rare."""
    return np.random.default_rng([0, 0, _RARE])


def data_set(split: int) -> np.random.Generator:
    """A split of the TFDS data set."""
    return np.random.default_rng([2311, 16822, split, _DATA_SET])


def estimate() -> np.random.Generator:
    """The draws from which launch.plan estimates how many are distinct."""
    return np.random.default_rng([0, 0, _ESTIMATE])
