"""The loop of a perfect memoriser with infinitely many samples, computed exactly: what temperature alone does.

    python -m eval.mean_field --config=launch/presets/demo.py [--config.sample.temperature=0.8 …]

Prints one JSON object a line for every setting, cycle and fresh ratio of the configuration: measures per generation,
the fixed point that the curves run into, and the generation from which on diversity is close to it. The support has to
be listed: at most 10^6 expressions. docs/theory.md says what it means; eval/recursion.py has the equations.

Axes: U expressions, T generations, K distributions.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from eval.measures.expected_diversity import expected_diversity
from eval.recursion import CONVERGED, Real, Setting, fixed_point, growth, total_variation, trajectory
from logic.errors import UsageError
from loop.config import Config
from loop.cycles import CYCLES

HORIZON = 200  # generations after which the search for the one that is close to the fixed point is given up
CLOSE = 0.01  # of the diversity of R


@dataclasses.dataclass(frozen=True)
class MeanField:
    """Log-distributions of the samples and of the training sets, and where they end."""

    samples: list[np.ndarray]  # log S_t
    trains: list[np.ndarray]  # log D_t
    log_fixed_U: np.ndarray  # log D*
    log_fixed_samples_U: np.ndarray  # log sharpen(D*)
    residual: float  # total variation between D* and (1-φ) sharpen(D*) + φ R
    growth: float | None  # of a small deviation from D*, in a generation
    from_first_data: dict[int, np.ndarray]  # by seed: log-samples at the fixed point that its D_0 runs into


def solve(real: Real, setting: Setting, generations: int, from_first_data: dict[int, np.ndarray]) -> MeanField:
    """Iterates the generations asked for, and on until diversity has surely come close, at most to `HORIZON`."""
    path = trajectory(real, setting)
    steps = [next(path) for _ in range(generations)]
    log_fixed_U, residual = fixed_point(real, setting, steps[-1][1])
    log_fixed_samples_U = real.tree.sharpen(log_fixed_U, setting.sample)
    # Distances are at most 1, so diversity differs by at most twice the total variation.
    while len(steps) < HORIZON and total_variation(steps[-1][0], log_fixed_samples_U) > CLOSE / 10:
        steps.append(next(path))
    return MeanField(
        [log_samples_U for log_samples_U, _ in steps],
        [log_train_U for _, log_train_U in steps],
        log_fixed_U,
        log_fixed_samples_U,
        residual,
        growth(real, setting, log_fixed_U),
        from_first_data,
    )


def entropy(log_p_U: np.ndarray) -> float:
    """In nats."""
    return float(max(0.0, -np.sum(np.exp(log_p_U) * np.where(np.isneginf(log_p_U), 0.0, log_p_U))))


def kl(log_p_U: np.ndarray, log_q_U: np.ndarray) -> float:
    """KL(p‖q) in nats, of p that is positive everywhere; infinite where q cannot write what p does."""
    return float(max(0.0, np.sum(np.exp(log_p_U) * (log_p_U - log_q_U))))


def expected_coverage(real: Real, log_samples_U: np.ndarray, num_samples: int) -> float:
    """Mass under R of the distinct expressions among so many samples, in expectation."""
    with np.errstate(divide="ignore"):
        log_missing_U = num_samples * np.log1p(-np.minimum(np.exp(log_samples_U), 1.0))
    return float(np.sum(np.exp(real.log_p_U) * -np.expm1(log_missing_U)))


def measure(
    real: Real,
    fields: Mapping[Setting, MeanField],
    generations: int,
    num_samples: int,
    progress: Callable[[float], None] | None = None,
) -> dict[Setting, dict[str, Any]]:
    """Measures per generation and at the fixed point; all pairs of expressions are compared once, for all settings.

    Names are those of metrics.csv: diversity and entropy of S_t, KL(R‖D_t), and the coverage that num_samples samples
    are expected to have. `close_from` is the first generation from which on diversity differs from that of the fixed
    point by at most 1 % of the diversity of R; None: not within `HORIZON` generations, or no fixed point was found.
    """
    columns: list[np.ndarray] = [real.log_p_U]
    for field in fields.values():
        columns += [*field.samples, field.log_fixed_samples_U, *field.from_first_data.values()]
    p_UK = np.exp(np.stack(columns, axis=1))
    diversity_of_real, *rest = expected_diversity(real.tree.expressions, p_UK, progress).tolist()
    left = iter(rest)

    def row(log_samples_U: np.ndarray, log_train_U: np.ndarray, diversity: float) -> dict[str, float]:
        return {
            "levenshtein_diversity": diversity,
            "sample_entropy": entropy(log_samples_U),
            "support_coverage": expected_coverage(real, log_samples_U, num_samples),
            "kl_from_real": kl(real.log_p_U, log_train_U),
        }

    results = {}
    for setting, field in fields.items():
        curve, limit = [next(left) for _ in field.samples], next(left)
        apart = np.abs(np.array(curve) - limit) > CLOSE * diversity_of_real
        close_from = int(np.flatnonzero([True, *apart])[-1])
        found = field.residual <= CONVERGED and close_from < len(curve)
        steps = list(zip(field.samples, field.trains, curve, strict=True))[:generations]
        results[setting] = {
            "generations": [{"generation": t, **row(*step)} for t, step in enumerate(steps)],
            "fixed_point": row(field.log_fixed_samples_U, field.log_fixed_U, limit),
            "residual": field.residual,
            "close_from": close_from if found else None,
            "growth": field.growth,
            "from_first_data": {seed: next(left) for seed in field.from_first_data},
        }
    return results


def settings_of(config: Config) -> list[Setting]:
    """One per cycle and fresh ratio of the sweep."""
    m = config.loop.num_examples
    found = [Setting(c.cycle, c.fresh_ratio, config.sample, config.block_size(c.cycle) / m) for c in config.cells()]
    return list(dict.fromkeys(found))


def first_data(config: Config, real: Real) -> dict[int, np.ndarray]:
    """Log-shares of the D_0 that the sweep's cells of each seed begin with."""
    from loop.blocks import initial_training_set  # brings JAX

    found = {}
    for seed in config.sweep.seeds:
        found[seed] = real.empirical(initial_training_set(config, seed).expressions, config.model.context_length)
    return found


def mean_fields(
    config: Config, progress: Callable[[float], None] | None = None, most: int | None = None
) -> dict[Setting, dict[str, Any]]:
    """Everything of one configuration, as `measure` gives it.

    Raises UsageError where the support is too long: of more than `most` expressions, or than can be listed.
    """
    real, generations = Real.of(config, most), config.loop.generations
    starts = first_data(config, real)
    ends: dict[tuple[float, bool], dict[int, np.ndarray]] = {}  # the same for all cycles
    fields = {}
    for setting in settings_of(config):
        equation = setting.fresh_ratio, setting.is_constant
        if equation not in ends:
            limits = {seed: fixed_point(real, setting, log_p_U)[0] for seed, log_p_U in starts.items()}
            ends[equation] = {seed: real.tree.sharpen(end_U, setting.sample) for seed, end_U in limits.items()}
        fields[setting] = solve(real, setting, generations, ends[equation])
    return measure(real, fields, generations, config.loop.num_samples, progress)


def sentence(setting: Setting, result: Mapping[str, Any]) -> str:
    """One line for a reader."""
    curve = [row["levenshtein_diversity"] for row in result["generations"]]
    limit, since = result["fixed_point"]["levenshtein_diversity"], result["close_from"]
    close = f"not within {HORIZON} generations" if since is None else f"close to it from generation {since}"
    name = setting.cycle if CYCLES[setting.cycle].is_control else f"{setting.cycle}, fresh {setting.fresh_ratio:g}"
    return (
        f"{name}, temperature {setting.sample.temperature:g}: diversity {curve[0]:.3f} at generation 0, "
        f"{curve[-1]:.3f} at {len(curve) - 1}, {limit:.3f} at the fixed point ({close}); from the seeds' first data "
        + ", ".join(f"{value:.3f}" for value in result["from_first_data"].values())
    )


class _Progress:
    """Says on standard error how far a long comparison is, every few seconds."""

    def __init__(self) -> None:
        self.said = time.monotonic()

    def __call__(self, done: float) -> None:
        if time.monotonic() - self.said > 10 and done < 1:
            self.said = time.monotonic()
            print(f"comparing pairs: {done:.0%} done", file=sys.stderr)


def _finite(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def main(argv: list[str], configs: Iterable[tuple[str, Config]]) -> None:
    """Computes and prints; `configs` are the combinations of the sweep's axes with their labels."""
    if len(argv) > 1:
        raise UsageError(f"{argv[1]!r}: no arguments are allowed, only flags (see --help)")
    for label, config in configs:
        for setting, result in mean_fields(config, _Progress()).items():
            keys: dict[str, Any] = {"setting": label} if label else {}
            keys |= {"cycle": setting.cycle, "fresh_ratio": setting.fresh_ratio}
            keys |= {name: getattr(setting.sample, name) for name in ("temperature", "top_k", "top_p")}
            print(json.dumps(_finite({**keys, **result})))
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
        main(argv, configs.items())

    cli.run(_main)
