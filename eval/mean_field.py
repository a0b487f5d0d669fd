"""The loop of a perfect memoriser with infinitely many samples, computed exactly: what temperature alone does.

    python -m eval.mean_field --config=launch/presets/demo.py [--config.sample.temperature=0.8 …]

Prints one JSON object a line for every setting, cycle and fresh ratio of the configuration: measures per generation,
the fixed point that the curves run into, and from which generation on the diversity is within 1 % of its start of it.
The support has to be listed: up to some 10^6 expressions.

With R the real distribution, D_t that of the training set, S_t that of the samples, and φ the fresh ratio:

    S_t = sharpen(D_t)        the conditionals of next symbols after temperature, top-k, top-p (the prefix tree of R)
    D_{t+1} = (1-w) D_t + w ((1-φ) S_t + φ R),    D_0 = R

where w is the share of the incoming block in the next training set: 1 for `full`, ρ for `incremental`, 1 / (t+2) for
`balanced` and `subsample`, ρ / (1 + ρ (t+1)) for `expanding`. All have the same fixed points, those of `full`: cycles
differ in how soon they get there. `fresh` stays at R.

Axes: U expressions, T generations.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from eval.measures.expected_diversity import expected_diversity
from logic.boolean import support
from logic.errors import UsageError
from loop.config import Config
from loop.learners.prefix_tree import PrefixTree
from model.config import SampleConfig

CONVERGED = 1e-12  # total variation between a distribution and the next one
MAX_STEPS = 10_000  # of the search for the fixed point
HORIZON = 200  # generations after which the search for the one that is close to the fixed point is given up
CLOSE = 0.01  # of the diversity at the start


@dataclasses.dataclass(frozen=True)
class Setting:
    """What decides a mean field besides the real distribution."""

    cycle: str
    fresh_ratio: float  # φ
    sample: SampleConfig
    renewal_share: float = 1.0  # ρ
    num_samples: int | None = None  # those whose coverage is expected; None: infinitely many

    def share(self, generation: int) -> float:
        """w, the incoming block's share of D_{generation + 1}."""
        match self.cycle:
            case "full" | "fresh":
                return 1.0
            case "incremental":
                return self.renewal_share
            case "balanced" | "subsample":
                return 1 / (generation + 2)
            case "expanding":
                return self.renewal_share / (1 + self.renewal_share * (generation + 1))
        raise UsageError(f"cycle = {self.cycle}: its mean field is not known")

    @property
    def is_constant(self) -> bool:
        """Whether every training set is R, whatever the model writes."""
        return self.cycle == "fresh" or self.fresh_ratio == 1


@dataclasses.dataclass(frozen=True)
class Real:
    """The real distribution on the list of its expressions, as a sampler with that context sees them."""

    tree: PrefixTree
    log_p_U: np.ndarray

    @classmethod
    def of(cls, config: Config) -> "Real":
        """Raises UsageError where there are too many expressions."""
        T = config.model.context_length
        try:
            listed = support.expressions(config.language)
        except ValueError as error:
            raise UsageError(f"{error}: the mean field is not computed") from error
        tree = PrefixTree(listed, T)
        place = {e: i for i, e in enumerate(tree.expressions)}
        cut = [place[e[:T]] for e in listed]  # several long expressions can be one sample
        p_U = np.bincount(cut, np.exp(config.language.log_probability(listed)))
        return cls(tree, np.log(p_U / p_U.sum()))


@dataclasses.dataclass(frozen=True)
class MeanField:
    """Distributions of the samples and of the training sets, and where they end."""

    log_samples_TU: np.ndarray  # S_t
    log_train_TU: np.ndarray  # D_t
    log_fixed_U: np.ndarray  # D* = (1-φ) sharpen(D*) + φ R
    log_fixed_samples_U: np.ndarray  # sharpen(D*)
    residual: float  # total variation between the two sides of that equation


def mix(share: float, log_a_U: np.ndarray, log_b_U: np.ndarray) -> np.ndarray:
    """log of (1 - share) a + share b."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-share) + log_a_U, np.log(share) + log_b_U)


def total_variation(log_a_U: np.ndarray, log_b_U: np.ndarray) -> float:
    """Half of the sum of absolute differences, from 0 to 1."""
    return float(np.abs(np.exp(log_a_U) - np.exp(log_b_U)).sum() / 2)


def trajectory(real: Real, setting: Setting) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(log S_t, log D_t) for t = 0, 1, … without end."""
    log_train_U, generation = real.log_p_U, 0
    while True:
        log_samples_U = real.tree.sharpen(log_train_U, setting.sample)
        yield log_samples_U, log_train_U
        if not setting.is_constant:
            log_block_U = mix(setting.fresh_ratio, log_samples_U, real.log_p_U)
            log_train_U = mix(setting.share(generation), log_train_U, log_block_U)
        generation += 1


def fixed_point(real: Real, setting: Setting, log_start_U: np.ndarray) -> tuple[np.ndarray, float]:
    """log D* that `full` runs into from a start, and the total variation between D* and what becomes of it."""
    log_p_U, change = log_start_U, 0.0
    if setting.is_constant:
        return real.log_p_U, change
    for _ in range(MAX_STEPS):
        log_next_U = mix(setting.fresh_ratio, real.tree.sharpen(log_p_U, setting.sample), real.log_p_U)
        change = total_variation(log_p_U, log_next_U)
        if change <= CONVERGED:
            break
        log_p_U = log_next_U
    return log_p_U, change


def solve(real: Real, setting: Setting, generations: int) -> MeanField:
    """Iterates the generations asked for, and on until the curves have surely come close, at most to `HORIZON`."""
    samples, trains = [], []
    path = trajectory(real, setting)
    for _, (log_samples_U, log_train_U) in zip(range(generations), path, strict=False):
        samples.append(log_samples_U)
        trains.append(log_train_U)
    log_fixed_U, residual = fixed_point(real, setting, trains[-1])
    log_fixed_samples_U = real.tree.sharpen(log_fixed_U, setting.sample)
    # Distances are at most 1: the diversity differs by at most twice the total variation.
    while len(samples) < HORIZON and total_variation(samples[-1], log_fixed_samples_U) > CLOSE / 10:
        log_samples_U, log_train_U = next(path)
        samples.append(log_samples_U)
        trains.append(log_train_U)
    return MeanField(np.array(samples), np.array(trains), log_fixed_U, log_fixed_samples_U, residual)


def entropy(log_p_U: np.ndarray) -> float:
    """In nats."""
    return float(-np.sum(np.exp(log_p_U) * np.where(np.isneginf(log_p_U), 0.0, log_p_U)))


def kl(log_p_U: np.ndarray, log_q_U: np.ndarray) -> float:
    """KL(p‖q) in nats; infinite where q cannot write what p does. p is positive everywhere."""
    return float(np.sum(np.exp(log_p_U) * (log_p_U - log_q_U)))


def expected_coverage(real: Real, log_samples_U: np.ndarray, num_samples: int | None) -> float:
    """Mass under R of the distinct expressions among so many samples, in expectation."""
    p_U = np.exp(log_samples_U)
    with np.errstate(divide="ignore"):
        written_U = p_U > 0 if num_samples is None else -np.expm1(num_samples * np.log1p(-np.minimum(p_U, 1.0)))
    return float(np.sum(np.exp(real.log_p_U) * written_U))


def measure(
    real: Real,
    fields: Mapping[Setting, MeanField],
    generations: int,
    progress: Callable[[float], None] | None = None,
) -> dict[Setting, dict[str, Any]]:
    """Measures per generation and at the fixed point, under the names of metrics.csv where they are the same.

    All pairs of expressions are compared once, for all settings together. `support_coverage` is an expectation over
    num_samples samples. `close_from` is the first generation from which on the diversity differs from that of the
    fixed point by at most 1 % of the diversity of R; None: not within `HORIZON` generations, or there is no limit.
    """
    columns = [[real.log_p_U]]
    for field in fields.values():
        columns += [[*field.log_samples_TU, field.log_fixed_samples_U]]
    p_UK = np.exp(np.array([log_p_U for part in columns for log_p_U in part])).T
    diversity_of_real, *diversities = expected_diversity(real.tree.expressions, p_UK, progress).tolist()
    results = {}
    for setting, field in fields.items():
        T = len(field.log_samples_TU)
        curve, diversities = diversities[: T + 1], diversities[T + 1 :]
        converged = field.residual <= 1e-9
        apart = np.abs(np.array(curve[:-1]) - curve[-1]) > CLOSE * diversity_of_real
        close_from = int(np.flatnonzero(np.append(True, apart))[-1])

        def at(log_samples_U: np.ndarray, log_train_U: np.ndarray, diversity: float, n: int | None) -> dict[str, float]:
            return {
                "levenshtein_diversity": diversity,
                "sample_entropy": entropy(log_samples_U),
                "support_coverage": expected_coverage(real, log_samples_U, n),
                "kl_from_real": kl(real.log_p_U, log_train_U),
            }

        results[setting] = {
            "generations": [
                {"generation": t, **at(field.log_samples_TU[t], field.log_train_TU[t], curve[t], setting.num_samples)}
                for t in range(generations)
            ],
            "fixed_point": at(field.log_fixed_samples_U, field.log_fixed_U, curve[-1], setting.num_samples),
            "residual": field.residual,
            "close_from": close_from if converged and close_from < T else None,
        }
    return results


def settings_of(config: Config) -> list[Setting]:
    """One per cycle and fresh ratio of the sweep."""
    m = config.loop.num_examples
    return list(
        dict.fromkeys(
            Setting(c.cycle, c.fresh_ratio, config.sample, config.block_size(c.cycle) / m, config.loop.num_samples)
            for c in config.cells()
        )
    )


def mean_fields(config: Config, progress: Callable[[float], None] | None = None) -> dict[Setting, dict[str, Any]]:
    """Everything of one configuration, as `measure` gives it. Raises UsageError where the support is too long."""
    real, generations = Real.of(config), config.loop.generations
    fields = {setting: solve(real, setting, generations) for setting in settings_of(config)}
    return measure(real, fields, generations, progress)


def sentence(setting: Setting, result: Mapping[str, Any]) -> str:
    """One line for a reader."""
    curve = [row["levenshtein_diversity"] for row in result["generations"]]
    limit, since = result["fixed_point"]["levenshtein_diversity"], result["close_from"]
    close = f"not within {HORIZON} generations" if since is None else f"from generation {since}"
    name = setting.cycle if setting.cycle == "fresh" else f"{setting.cycle}, fresh {setting.fresh_ratio:g}"
    return (
        f"{name}, temperature {setting.sample.temperature:g}: diversity {curve[0]:.3f} at generation 0, "
        f"{curve[-1]:.3f} at {len(curve) - 1}, {limit:.3f} at the fixed point (close to it {close})"
    )


class _Progress:
    """Says on standard error how far a long comparison is, every few seconds."""

    def __init__(self) -> None:
        self.said = time.monotonic()

    def __call__(self, done: float) -> None:
        if time.monotonic() - self.said > 10:
            self.said = time.monotonic()
            print(f"comparing pairs: {done:.0%} done", file=sys.stderr)


def main(argv: list[str], configs: Mapping[str, Config]) -> None:
    """Computes and prints; `configs` are the settings of the sweep's axes by their labels."""
    if len(argv) > 1:
        raise UsageError(f"{argv[1]!r}: no arguments are allowed, only flags (see --help)")
    for label, config in configs.items():
        for setting, result in mean_fields(config, _Progress()).items():
            keys = {"setting": label} if label else {}
            sample = dataclasses.asdict(setting.sample)
            keys |= {"cycle": setting.cycle, "fresh_ratio": setting.fresh_ratio}
            keys |= {name: sample[name] for name in ("temperature", "top_k", "top_p")}
            print(json.dumps({**keys, **result}).replace("Infinity", "null"))
            print(sentence(setting, result), file=sys.stderr)


if __name__ == "__main__":
    from absl import flags
    from ml_collections import config_flags

    from launch import cli
    from launch.configuration import settings
    from logic.errors import usage_errors

    _CONFIG = config_flags.DEFINE_config_file("config", None, "the preset: a Python file with get_config()")

    def _main(argv: list[str]) -> None:
        if flags.FLAGS.config is None:
            raise UsageError("--config is missing: name a preset, such as --config=launch/presets/demo.py")
        with usage_errors():
            configs = settings(_CONFIG.value)
        main(argv, configs)

    cli.run(_main)
