"""How often every verdict of a report errs, on simulated runs whose answer is known.

    python tests/stress/verdicts.py [--n=100] [--parts=intervals,onset,shapes,findings] [--root=DIR]

prints the tables of docs/statistics.md: some ten minutes on one core. `--root`: another checkout of this repository,
whose statistics are measured instead (from the commit on that put them under eval/statistics). A small version runs in
the test suite: tests/eval/statistics/verdicts_test.py.

A decided verdict is *wrong* if the noiseless curve says otherwise. A plateau with up to a quarter more in its last
third than it may have, and a fall with a fifth less than it must have, pass as right.

The axes: S seeds, T generations.
"""

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

START = 0.55  # diversity in generation 0
WALK = 0.003  # of the start: step of every seed's random walk
Curve = Callable[[np.ndarray], np.ndarray]  # of x = t / last generation; 1 at 0


def flat(x: np.ndarray) -> np.ndarray:
    return np.ones(len(x))


def to_floor(floor: float, tau: float) -> Curve:
    return lambda x: floor + (1 - floor) * np.exp(-x / tau)


def line(fall: float) -> Curve:
    return lambda x: 1 - fall * x


def power(a: float, s: float) -> Curve:
    return lambda x: (1 + x / s) ** -a


def late(early: float, begin: float, fall: float, end: float = 1.0) -> Curve:
    """A fast early fall, a rest, and a late one."""
    return lambda x: 1 - early * np.clip(x / 0.2, 0, 1) - fall * np.clip((x - begin) / (end - begin), 0, 1)


def s_curve(middle: float, width: float = 0.06) -> Curve:
    return lambda x: 1 - 0.4 / (1 + np.exp(-(x - middle) / width))


CURVES: dict[str, Curve] = {
    "flat": flat,
    "rising": line(-0.2),
    "line -3 %": line(0.03),
    "line -20 %": line(0.2),
    "line -50 %": line(0.5),
    "ever faster": lambda x: 1 - 0.4 * x**2,
    "exponential, soon at 0.7": to_floor(0.7, 1 / 8),
    "exponential, soon at 0.5": to_floor(0.5, 1 / 6),
    "exponential, soon at 0": to_floor(0, 1 / 10),
    "exponential to 0.5, between the claims": to_floor(0.5, 1 / 4),
    "exponential to 0, not yet there": to_floor(0, 1 / 3),
    "exponential to 0, far": to_floor(0, 2.5),
    "stretched, long tail": lambda x: 0.5 + 0.5 * np.exp(-((x / 0.12) ** 0.5)),
    "straight, then flat": lambda x: 1 - np.minimum(x, 0.3),
    "logarithm": lambda x: 1 - 0.5 * np.log1p(49 * x) / np.log(50),
    "double logarithm": lambda x: 1 - 0.3 * np.log1p(np.log1p(49 * x)) / np.log1p(np.log(50)),
    "(1 + t)^-0.15": power(0.15, 1 / 49),
    "(1 + t)^-0.3": power(0.3, 1 / 49),
    "(1 + t)^-0.6": power(0.6, 1 / 49),
    "(1 + t/5)^-1": power(1, 5 / 49),
    "(1 + t/9)^-2": power(2, 9 / 49),
    "two speeds": lambda x: 0.8 + 0.2 * np.exp(-10 * x) - 0.2 * x,
    "two speeds, slow one small": lambda x: 0.7 + 0.3 * np.exp(-12 * x) - 0.04 * x,
    "early fall, rest, late fall": late(0.3, 0.75, 0.15),
    "the same, late one small": late(0.3, 0.8, 0.06),
    "the same, late one last": late(0.3, 0.9, 0.1),
    "the same, late one over by 0.8": late(0.3, 0.6, 0.2, 0.8),
    "steps": lambda x: 1 - 0.15 * np.minimum(np.floor(4 * x), 3) - 0.15 * (x > 0),
    "steps to the end": lambda x: 1 - 0.1 * np.floor(5.99 * x),
    "S-curve in the middle": s_curve(0.5),
    "S-curve, late": s_curve(0.8),
    "S-curve, early": s_curve(0.25, 0.04),
    "plateau that swings": lambda x: 0.7 + 0.3 * np.exp(-8 * x) + 0.03 * np.sin(8 * np.pi * x),
    "line that swings": lambda x: 1 - 0.3 * x + 0.03 * np.sin(8 * np.pi * x),
    "swings": lambda x: 1 + 0.04 * np.sin(6 * np.pi * x),
    "falls and recovers": lambda x: 0.6 + 0.4 * np.exp(-10 * x) + 0.15 * np.clip(2 * x - 1, 0, 1),
    "dip": lambda x: 1 - 0.3 * np.exp(-(((x - 0.4) / 0.15) ** 2)),
}


def simulate(curve: Curve, seeds: int, generations: int, noise: float, number: int, kind: str = "walk") -> np.ndarray:
    """Diversity of some seeds around a curve, float64_ST.

    `kind`: `independent` noise, with a random `walk` of every seed, with `tails` (Student's t of 3 degrees), noise that
    is `correlated` from one generation to the next, or noise that shrinks with the curve (`relative`).
    """
    rng = np.random.default_rng([number, seeds, generations])
    size = (seeds, generations)
    x_T = curve(np.linspace(0, 1, generations))
    noise_ST = rng.standard_normal(size)
    if kind == "walk":
        noise_ST = noise_ST + np.cumsum(WALK / noise * rng.standard_normal(size), 1)
    elif kind == "tails":
        noise_ST = rng.standard_t(3, size) / np.sqrt(3)
    elif kind == "correlated":
        for t in range(1, generations):
            noise_ST[:, t] = 0.7 * noise_ST[:, t - 1] + np.sqrt(1 - 0.7**2) * noise_ST[:, t]
    elif kind == "relative":
        noise_ST = noise_ST * x_T
    return START * (x_T + noise * noise_ST)


def right(verdict: str, curve: Curve, generations: int) -> bool:
    """Whether a verdict of `fall_shape` is true of a curve, or says nothing."""
    x_T = curve(np.linspace(0, 1, generations))
    fall = x_T[0] - x_T[-1]
    third = np.interp((generations - 1) * 2 / 3, np.arange(generations), x_T)
    if verdict in ("undecided", "no fall"):
        return verdict == "undecided" or fall < 0.05
    share = (third - x_T[-1]) / fall if fall > 0.005 else np.nan  # of what does not fall nothing is true
    return bool(share <= 0.05 if verdict == "plateau" else share >= 0.064)


def shapes(
    fall_shape: Callable[[Any], Any],
    n: int,
    generations: tuple[int, ...] = (8, 20, 50),
    seeds: tuple[int, ...] = (2, 3, 5, 10),
    noises: tuple[float, ...] = (0.002, 0.01, 0.02, 0.05),
    kinds: tuple[str, ...] = ("walk", "independent", "tails", "correlated", "relative"),
) -> Iterator[dict[str, Any]]:
    """Per curve and setting how many of n runs were decided, and how many of them wrongly. Kinds take turns."""
    for (name, curve), T, S, noise in itertools.product(CURVES.items(), generations, seeds, noises):
        found: Counter[str] = Counter()
        for i in range(n):
            found[fall_shape(simulate(curve, S, T, noise, i, kinds[i % len(kinds)])).verdict] += 1
        wrong = sum(k for verdict, k in found.items() if not right(verdict, curve, T))
        yield {"curve": name, "T": T, "S": S, "noise": noise, "decided": n - found["undecided"], "wrong": wrong}


class Scenario(NamedTuple):
    """A run of one cycle with φ = 0, 0.25, 0.5 and a control, and what its findings may say."""

    diversity: tuple[Curve, Curve, Curve, Curve]
    correctness: tuple[float, float]  # first and last
    right: tuple[tuple[str, ...], ...]  # decided verdicts that are right, of each finding


SHOWN, NOT_SHOWN = "shown", "not shown"
GOOD = (0.97, 0.97)
FAST, FALL = to_floor(0, 0.4), to_floor(0, 0.9)
ALL_SHOWN = ((SHOWN,), (SHOWN,), (SHOWN,))
SCENARIOS = {
    "dose": Scenario((FAST, FALL, line(0.25), flat), GOOD, ALL_SHOWN),
    "small dose": Scenario((line(0.2), line(0.15), line(0.1), flat), (0.97, 0.99), ALL_SHOWN),
    "no fall": Scenario((flat, flat, flat, flat), (0.97, 0.87), ((NOT_SHOWN,), (NOT_SHOWN,), ())),
    "no dose": Scenario((line(0.3),) * 3 + (flat,), (0.9, 0.87), ((NOT_SHOWN,), (NOT_SHOWN,), (NOT_SHOWN,))),
    "control falls too": Scenario((line(0.3),) * 4, (0.8, 0.89), ((NOT_SHOWN,), (NOT_SHOWN,), ())),
    "reversed": Scenario((line(0.1), line(0.2), line(0.3), flat), GOOD, ((SHOWN,), (NOT_SHOWN,), (NOT_SHOWN,))),
    "stopped": Scenario((FAST, to_floor(0.5, 0.1), to_floor(0.8, 0.1), flat), GOOD, ((SHOWN,), (SHOWN,), (NOT_SHOWN,))),
    "rest": Scenario((FAST, FALL, late(0.15, 0.75, 0.1), flat), (0.9, 0.97), ALL_SHOWN),
    "long tail": Scenario(
        (to_floor(0, 0.15), to_floor(0, 0.3), power(0.15, 1 / 49), flat),
        (0.99, 0.92),
        ((NOT_SHOWN,), (SHOWN,), (SHOWN,)),
    ),
}


def run(scenario: Scenario, seeds: int, generations: int, noise: float, number: int) -> pd.DataFrame:
    """The metrics of one run. Seeds share what they do to all cells: common random numbers."""
    rng = np.random.default_rng([number, seeds, generations])
    shared_ST = 1 + noise * rng.standard_normal((seeds, generations))
    parts: list[dict[str, Any]] = []
    for i, (cycle, ratio) in enumerate((("full", 0.0), ("full", 0.25), ("full", 0.5), ("fresh", 1.0))):
        diversity_ST = simulate(scenario.diversity[i], seeds, generations, noise, 4 * number + i) * shared_ST
        first, last = scenario.correctness if ratio < 1 else GOOD
        mean_T = first + (last - first) * np.linspace(0, 1, generations)
        correct_ST = np.clip(mean_T + noise / 2 * rng.standard_normal((seeds, 1)) + 0.003 * shared_ST - 0.003, 0, 1)
        seed_ST, generation_ST = np.indices((seeds, generations))
        parts.append(
            {
                "cycle": np.full(seed_ST.size, cycle),
                "fresh_ratio": np.full(seed_ST.size, ratio),
                "seed": seed_ST.ravel(),
                "learner": np.full(seed_ST.size, "transformer"),
                "remedy": np.full(seed_ST.size, "none"),
                "generation": generation_ST.ravel(),
                "levenshtein_diversity": diversity_ST.ravel(),
                "semantic_correctness": correct_ST.ravel(),
                "correctness": correct_ST.ravel(),
                "control": np.full(seed_ST.size, cycle == "fresh"),
            }
        )
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def findings(
    judge: Callable[[pd.DataFrame], Any],
    n: int,
    generations: tuple[int, ...] = (8, 20),
    seeds: tuple[int, ...] = (2, 3, 5),
    noises: tuple[float, ...] = (0.01, 0.03),
) -> Iterator[dict[str, Any]]:
    """Per scenario, setting and finding how many of n runs were decided rightly, and how many wrongly."""
    for (name, scenario), T, S, noise in itertools.product(SCENARIOS.items(), generations, seeds, noises):
        verdicts = [[f.verdict for f in judge(run(scenario, S, T, noise, i))] for i in range(n)]
        for number, (said, allowed) in enumerate(zip(zip(*verdicts, strict=True), scenario.right, strict=True), 1):
            decided = [verdict for verdict in said if verdict in (SHOWN, NOT_SHOWN)]
            yield {
                "finding": number,
                "scenario": name,
                "T": T,
                "S": S,
                "noise": noise,
                "right": sum(v in allowed for v in decided),
                "wrong": sum(v not in allowed for v in decided),
                "false shown": sum(v == SHOWN and v not in allowed for v in decided),
            }


def intervals(
    mean_interval: Callable[..., Any], n: int, seeds: tuple[int, ...] = (2, 3, 5, 10, 20)
) -> Iterator[dict[str, Any]]:
    """Coverage of 95 % intervals for the mean change of four groups, of equal and of unequal noise."""
    from scipy.stats import t as student

    for S, (name, sizes) in itertools.product(seeds, {"equal": (1, 1, 1, 1), "unequal": (0.2, 0.5, 2, 4)}.items()):
        rng = np.random.default_rng(S)
        x_nGST = rng.standard_normal((n, 4, S, 8)) * np.array(sizes)[:, None, None]
        x_nGS = x_nGST[..., -1]
        mean_nG, sd_nG = x_nGS.mean(-1), x_nGS.std(-1, ddof=1)
        last = np.sqrt((sd_nG**2).mean(1, keepdims=True))
        every = np.sqrt(x_nGST.var(2, ddof=1).mean((1, 2)))[:, None]
        counts_BS = rng.multinomial(S, np.full(S, 1 / S), 400) / S
        low_nG, high_nG = np.quantile(x_nGS @ counts_BS.T, [0.025, 0.975], axis=-1)
        t = [mean_interval(x_S) for x_S in x_nGS.reshape(-1, S)]
        yield {
            "S": S,
            "noise": name,
            "t": np.mean([e.low <= 0 <= e.high for e in t if e.low is not None and e.high is not None]),
            "pooled over groups": _worst(np.abs(mean_nG) <= student.ppf(0.975, 4 * (S - 1)) * last / np.sqrt(S)),
            "and generations": _worst(np.abs(mean_nG) <= student.ppf(0.975, 32 * (S - 1)) * every / np.sqrt(S)),
            "percentile bootstrap": np.mean((low_nG <= 0) & (high_nG >= 0)),
        }


def _worst(covered_nG: np.ndarray) -> float:
    return float(covered_nG.mean(0).min())


def onsets(onset: Callable[..., Any], n: int) -> Iterator[dict[str, Any]]:
    """Coverage of the onset's interval, with the seeds of the control shared or not."""
    planted = {"exponential": to_floor(0, 2.6), "to 0.7": to_floor(0.7, 1 / 4), "late": s_curve(0.6), "flat": flat}
    for (S, R, paired), noise in itertools.product(
        ((2, 2, True), (3, 3, True), (5, 5, True), (2, 5, False), (3, 3, False), (5, 5, False)), (0.01, 0.03)
    ):
        covered: dict[str, list[bool]] = {name: [] for name in planted}
        width = []
        for (name, curve), i in itertools.product(planted.items(), range(n)):
            below = np.flatnonzero(curve(np.linspace(0, 1, 50)) < 0.95)
            truth = below[0] if len(below) else np.inf
            control = simulate(flat, R, 50, noise, 100_000 + i, "independent")
            found = onset(simulate(curve, S, 50, noise, i), control, paired)
            low, high = (np.inf if x is None else x for x in (found.low, found.high))
            covered[name].append(bool(low <= truth <= high))
            width.append(min(high, 50) - min(low, 50))
        means = [float(np.mean(found)) for found in covered.values()]
        yield {
            "seeds": f"{S} and {R}, {'paired' if paired else 'unpaired'}",
            "noise": noise,
            "covered": float(np.mean(means)),
            "worst curve": min(means),
            "mean width": float(np.mean(width)),
        }


def _print(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}\n")
    print("| " + " | ".join(table.columns) + " |\n" + "|---" * len(table.columns) + "|")
    for row in table.itertuples(index=False):
        print("| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row) + " |", flush=True)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--n", type=int, default=100, help="runs per setting")
    parser.add_argument("--parts", default="intervals,onset,shapes,findings")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the checkout that is measured")
    given = parser.parse_args()
    sys.path.insert(0, str(given.root.resolve()))
    from eval.statistics import findings as judging
    from eval.statistics import onset, trend

    n, parts = given.n, given.parts.split(",")
    if "intervals" in parts:
        from eval.statistics.intervals import mean_interval

        _print("Coverage of intervals", pd.DataFrame(intervals(mean_interval, 20 * n)))
    if "onset" in parts:
        _print("Coverage of the onset", pd.DataFrame(onsets(onset.onset, n)))
    if "shapes" in parts:
        table = pd.DataFrame(shapes(trend.fall_shape, n))
        table[["decided", "wrong"]] /= n
        for by in ("curve", "T", "S", "noise"):
            grouped = table.groupby(by, sort=False).agg(
                decided=("decided", "mean"), wrong=("wrong", "mean"), worst=("wrong", "max")
            )
            _print(f"Shapes by {by}, as shares of all runs", grouped.reset_index())
        _print("Shapes: the worst settings", table.nlargest(15, "wrong"))
    if "findings" in parts:
        table = pd.DataFrame(findings(judging.findings, n))
        table[["right", "wrong", "false shown"]] /= n
        table["T, S"] = table["T"].astype(str) + ", " + table["S"].astype(str)
        for what in ("right", "wrong", "false shown"):
            wide = table.pivot_table(index=["finding", "scenario"], columns=["T", "S"], values=what, aggfunc="mean")
            wide.columns = [f"T={T} S={S}" for T, S in wide.columns]
            _print(f"Findings: {what}, mean over the noises", wide.reset_index())
        _print("Findings: the worst settings", table.nlargest(15, "wrong"))


if __name__ == "__main__":
    main()
