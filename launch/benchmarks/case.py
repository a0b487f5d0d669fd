"""One case of the benchmark: ours and a peer, alternating, and the ratios of neighbouring measurements."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]


class UnavailableError(Exception):
    """A peer cannot run here; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """Work that can be timed."""

    run: Callable[[], float]  # does the work once; returns the seconds that count
    amount: float  # units of work in it


def timed(
    work: Callable[[Any], Any], min_seconds: float = 0.0, prepare: Callable[[int], Any] = lambda call: call
) -> Callable[[], float]:
    """Turns work that ends when it returns into a measurement: seconds per call, over at least `min_seconds`.

    Every call of `work` gets what `prepare` makes of its number, which takes no time here: a seed, or data that
    nothing can have remembered from the call before.
    """
    numbers = itertools.count()

    def run() -> float:
        total, calls = 0.0, 0
        while total < min_seconds or not calls:
            given = prepare(next(numbers))
            start = time.perf_counter()
            work(given)
            total += time.perf_counter() - start
            calls += 1
        return total / calls

    return run


def blank(suite: str, case: str, size: str, unit: str, peer_name: str) -> Row:
    """The fields that every row has, before anything is measured."""
    measured = ("ours", "peer", "ratio_median", "ratio_min", "ratio_max", "share_of_peak", "peak_flops")
    names = {"suite": suite, "case": case, "size": size, "unit": unit, "peer_name": peer_name}
    return names | dict.fromkeys(measured)


def compare(
    suite: str,
    case: str,
    size: str,
    unit: str,
    ours: Contender,
    peer_name: str,
    peer: Callable[[], Contender],
    repeats: int,
    flops_per_unit: float | None = None,
    peak_flops: float | None = None,
    warm_up: bool = True,
    **extra: Any,
) -> Row:
    """Measures one case: A B A B …, after one unmeasured call of each (which compiles) unless `warm_up` is off.

    Args:
      unit: what `ours` and `peer` are rates of, as in `tokens/s`.
      peer: makes the peer, or raises `UnavailableError`: then only ours is measured, and the reason is in `skipped`.
      repeats: A/B pairs. A ratio is that of one pair; the row has their median, least and largest.
      flops_per_unit, peak_flops: model operations per unit, and what a matrix product reached per second here.
      extra: further fields of the row.
    """
    first = ours.run() if warm_up else None
    other: Contender | None = None
    skipped = None
    try:
        other = peer()
        if warm_up:
            other.run()
    except UnavailableError as reason:
        other, skipped = None, str(reason)
    ours_rate, peer_rate = [], []
    for _ in range(repeats):
        ours_rate.append(ours.amount / ours.run())
        if other is not None:
            peer_rate.append(other.amount / other.run())
    rate = statistics.median(ours_rate)
    row = blank(suite, case, size, unit, peer_name) | {"ours": rate}
    if flops_per_unit and peak_flops:
        row |= {"share_of_peak": rate * flops_per_unit / peak_flops, "peak_flops": peak_flops}
    if peer_rate:
        ratios = [a / b for a, b in zip(ours_rate, peer_rate, strict=True)]
        row |= {
            "peer": statistics.median(peer_rate),
            "ratio_median": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
        }
    return {
        **row,
        "repeats": repeats,
        "amount": ours.amount,
        "peer_amount": other.amount if other is not None else None,
        "first_seconds": first,
        **({"skipped": skipped} if skipped else {}),
        **extra,
    }
