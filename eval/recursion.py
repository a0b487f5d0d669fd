"""The recursion of the mean field: the loop of a perfect memoriser with infinitely many samples.

With R the real distribution, D_t that of the training set, S_t that of the samples, and φ the fresh ratio:

    S_t = sharpen(D_t)        the conditionals of next symbols after temperature, top-k, top-p (the prefix tree of R)
    D_{t+1} = (1-w) D_t + w ((1-φ) S_t + φ R),    D_0 = R

where w is the share of the incoming block in the next training set: 1 for `full`, ρ for `incremental`, 1 / (t+2) for
`balanced` and `subsample`, ρ / (1 + ρ (t+1)) for `expanding`. All have the same fixed points, those of `full`: cycles
differ in how soon they get there. `fresh` stays at R.

Distributions are held as logarithms: without fresh data they fall below the smallest number.

Axes: U expressions.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from logic.errors import UsageError
from loop.config import Config
from loop.cycles import CYCLES
from loop.learners.prefix_tree import PrefixTree
from model.config import SampleConfig

CONVERGED = 1e-8  # total variation between a distribution and the next one
MAX_STEPS = 2_000  # of the search for a fixed point


@dataclasses.dataclass(frozen=True)
class Setting:
    """What decides a mean field besides the real distribution."""

    cycle: str
    fresh_ratio: float  # φ
    sample: SampleConfig
    renewal_share: float = 1.0  # ρ

    def share(self, generation: int) -> float:
        """w, the incoming block's share of D_{generation + 1}."""
        cycle = CYCLES.get(self.cycle)
        share = None if cycle is None else cycle.newest_share(self.renewal_share, generation)
        if share is None:
            raise UsageError(f"cycle = {self.cycle}: its mean field is not known")
        return share

    @property
    def is_constant(self) -> bool:
        """Whether every training set is R, whatever the model writes."""
        return CYCLES[self.cycle].is_control or self.fresh_ratio == 1


@dataclasses.dataclass(frozen=True)
class Real:
    """The real distribution on the list of its expressions, as a sampler with that context sees them."""

    tree: PrefixTree
    log_p_U: np.ndarray

    @classmethod
    def of(cls, config: Config, most: int | None = None) -> "Real":
        """Raises UsageError where there are too many expressions: more than `most`, or than can be listed."""
        T = config.model.context_length
        try:
            listed, log_p = config.language.whole_support()
        except ValueError as error:
            raise UsageError(f"{error}: the mean field is not computed") from error
        if most is not None and len(listed) > most:
            raise UsageError(f"the language has {len(listed):,} expressions, more than {most:,}")
        tree = PrefixTree(listed, T)
        place = {e: i for i, e in enumerate(tree.expressions)}
        cut = [place[e[:T]] for e in listed]  # several long expressions can be one sample
        p_U = np.bincount(cut, np.exp(log_p))
        return cls(tree, np.log(p_U / p_U.sum()))

    def empirical(self, examples: Sequence[bytes], context_length: int) -> np.ndarray:
        """Log-shares of real examples, float64_U."""
        counts = Counter(e[:context_length] for e in examples)
        with np.errstate(divide="ignore"):
            return np.log(np.array([counts[e] for e in self.tree.expressions]) / len(examples))


def mix(share: float, log_a_U: np.ndarray, log_b_U: np.ndarray) -> np.ndarray:
    """log of (1 - share) a + share b."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-share) + log_a_U, np.log(share) + log_b_U)


def total_variation(log_a_U: np.ndarray, log_b_U: np.ndarray) -> float:
    """Half of the sum of absolute differences, from 0 to 1."""
    return float(np.abs(np.exp(log_a_U) - np.exp(log_b_U)).sum() / 2)


def block(real: Real, setting: Setting, log_train_U: np.ndarray) -> np.ndarray:
    """log N_t from log D_t: what `full` trains on next."""
    return mix(setting.fresh_ratio, real.tree.sharpen(log_train_U, setting.sample), real.log_p_U)


def trajectory(
    real: Real, setting: Setting, log_start_U: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(log S_t, log D_t) for t = 0, 1, … without end, from D_0 = R or from another start, such as `empirical`."""
    log_train_U, generation = real.log_p_U if log_start_U is None else log_start_U, 0
    while True:
        log_samples_U = real.tree.sharpen(log_train_U, setting.sample)
        yield log_samples_U, log_train_U
        if CYCLES[setting.cycle].is_control:
            log_train_U = real.log_p_U
        else:
            log_block_U = mix(setting.fresh_ratio, log_samples_U, real.log_p_U)
            log_train_U = mix(setting.share(generation), log_train_U, log_block_U)
        generation += 1


def fixed_point(real: Real, setting: Setting, log_start_U: np.ndarray) -> tuple[np.ndarray, float]:
    """log D* = log N(D*) that `full` runs into from a start, and the total variation between its two sides.

    A residual above `CONVERGED` says that it was not reached in `MAX_STEPS`.
    """
    log_p_U, residual = (real.log_p_U if setting.is_constant else log_start_U), 0.0
    if setting.is_constant:
        return log_p_U, residual
    for _ in range(MAX_STEPS):
        log_next_U = block(real, setting, log_p_U)
        residual = total_variation(log_p_U, log_next_U)
        if residual <= CONVERGED:
            break
        log_p_U = log_next_U
    return log_p_U, residual


def growth(real: Real, setting: Setting, log_fixed_U: np.ndarray, steps: int = 60) -> float | None:
    """By what a small deviation from a fixed point is multiplied in a generation of `full`, in the long run.

    Above 1 the fixed point is unstable: what finite samples deviate by grows, and the loop leaves for another one. The
    largest eigenvalue of the recursion's derivative there, by power iteration on central differences of logarithms.
    None without fresh data, where there is no smooth map to derive: mass vanishes.
    """
    if setting.is_constant:
        return 0.0
    if setting.fresh_ratio == 0 or setting.sample.temperature == 0:
        return None
    step, factors = 1e-4, []
    direction_U = np.random.default_rng(0).normal(size=len(log_fixed_U))
    direction_U /= np.abs(direction_U).max()
    for _ in range(steps):
        ahead, behind = (block(real, setting, log_fixed_U + sign * step * direction_U) for sign in (1, -1))
        direction_U = (ahead - behind) / (2 * step)
        factors.append(float(np.abs(direction_U).max()))
        if factors[-1] < 1e-9:
            return 0.0
        direction_U /= factors[-1]
    return float(np.exp(np.mean(np.log(factors[steps // 2 :]))))
