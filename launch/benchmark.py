"""Measures the speed of every part beside what people would use instead.

    python -m launch.benchmark --suite=train,sample --size=tiny,small

Ours and the peer alternate (A B A B …). Prints a JSON header that describes the machine, then one JSON object per
case, as they finish; a table on standard error at the end. Peers that are not installed are skipped and named
(`pip install -r requirements-benchmark.txt` installs them). docs/performance.md explains the cases.
"""

import dataclasses
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection

from absl import flags

from launch import cli
from launch.benchmarks.case import Row
from launch.benchmarks.machine import describe, peak_memory, use_cores
from launch.benchmarks.sizes import SIZES, Options, Size
from launch.resources import available_cores
from logic.errors import UsageError

SUITES = {  # and the cores each uses by default on a CPU; 0: all of them
    "train": 1,
    "sample": 1,
    "verify": 1,
    "diversity": 1,
    "generation": 2,
    "ensemble": 1,
    "axes": 2,
}
SIZELESS = ("verify", "diversity")  # suites without a model

_DEFAULT = Options()
_SUITE = flags.DEFINE_list("suite", ",".join(SUITES), "suites to run: " + ", ".join(SUITES))
_SIZE = flags.DEFINE_list("size", "tiny,small", "sizes of the model: " + ", ".join(SIZES))
_REPEATS = flags.DEFINE_integer("repeats", _DEFAULT.repeats, "A/B pairs per case", lower_bound=1)
_MIN_SECONDS = flags.DEFINE_float(
    "min_seconds", _DEFAULT.min_seconds, "a measurement repeats its work for at least so long", lower_bound=0
)
_CORES = flags.DEFINE_integer(
    "cores", 0, "CPU cores to use; 0: two for whole generations, else one (all, with an accelerator)", lower_bound=0
)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "of activations, ours and the peers'")
_DROPOUT = flags.DEFINE_float("dropout", 0.0, "while training, ours and the peers'", lower_bound=0, upper_bound=0.9)
_MEMBERS = flags.DEFINE_list("members", "1,2,4,8", "ensembles to measure: members per device")
_CELLS = flags.DEFINE_integer(
    "cells",
    0,
    "cells of a whole generation, or of a setting; 0: as many as cores (on an accelerator eight), or 1, 2, 4",
    lower_bound=0,
)
_MODES = flags.DEFINE_list("modes", "map,vmap", "how a device takes its members: map, vmap, or how many at once")


def run_suite(suite: str, size: Size, options: Options) -> Iterator[Row]:
    """Yields one row per case. The process should be of this suite's own: see `_worker`."""
    module = importlib.import_module(f"launch.benchmarks.{suite}")
    for row in module.suite(size, options):
        yield {**row, "cores": options.cores, "dtype": options.dtype, "peak_bytes": peak_memory()}


def _worker(suite: str, size: Size, options: Options, out: Connection) -> None:
    """One suite at one size in a fresh process, where cores and devices can still be chosen."""
    use_cores(options.cores)
    # PyTorch shares an accelerator's memory: JAX must not take it all at the start.
    if suite != "ensemble":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    jax.config.update("jax_num_cpu_devices", options.devices)
    # Every whole run compiles its programs anew: the second one finds them here.
    with tempfile.TemporaryDirectory(prefix="benchmark-cache-") as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        for row in run_suite(suite, size, options):
            out.send(row)


def _header(dtype: str, out: Connection) -> None:
    """Describes the machine; in a process of its own, since it starts JAX."""
    out.send(describe(dtype))


def main(argv: list[str]) -> None:
    """Runs the suites that the flags name, each size in a process of its own."""
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    suites, sizes = _chosen("suite", _SUITE.value, SUITES), _chosen("size", _SIZE.value, SIZES)
    options = Options(
        repeats=_REPEATS.value,
        min_seconds=_MIN_SECONDS.value,
        dtype=_DTYPE.value,
        dropout=_DROPOUT.value,
        cells=_CELLS.value,
        members=tuple(_integer("members", m) for m in _filled("members", _MEMBERS.value)),
        modes=tuple(
            m if m in ("map", "vmap") else str(_integer("modes", m, "map, vmap and "))
            for m in _filled("modes", _MODES.value)
        ),
    )
    if _CORES.value > available_cores():
        raise UsageError(f"--cores={_CORES.value}: allowed are 0 to {available_cores()}, what there is")

    header = next(_in_process(_header, options.dtype))
    print(json.dumps(header), flush=True)
    rows, failed = [], []
    for suite in suites:
        for size in [SIZES[s] for s in sizes[: 1 if suite in SIZELESS else None]]:
            default = SUITES[suite] if header["platform"] == "cpu" else available_cores()
            cores = min(_CORES.value or default, available_cores())
            devices = cores if suite in ("generation", "ensemble", "axes") else 1
            print(f"{suite}, {size.name}: {cores} cores", file=sys.stderr, flush=True)
            own = dataclasses.replace(options, cores=cores, devices=devices)
            try:
                for row in _in_process(_worker, suite, size, own):
                    rows.append(row)
                    print(json.dumps(row), flush=True)
            except ChildProcessError as error:
                failed.append(f"{suite}, {size.name}: {error}")
    if rows:
        _print_table(rows)
    if failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(1)


def _in_process(work: object, *args: object) -> Iterator[Row]:
    """Yields what `work(*args, connection)` sends from a fresh process. Raises ChildProcessError if it fails."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(*args, send), daemon=False)  # type: ignore[arg-type]
    process.start()
    send.close()
    try:
        while True:
            try:
                yield receive.recv()
            except EOFError:
                break
        process.join()
    finally:
        if process.is_alive():
            process.terminate()
            process.join()
    if process.exitcode:
        raise ChildProcessError(f"failed with status {process.exitcode}")


def _chosen(flag: str, names: list[str], allowed: dict) -> list[str]:
    for name in names:
        if name not in allowed:
            raise UsageError(f"--{flag}={name}: allowed are {', '.join(allowed)}")
    if not names:
        raise UsageError(f"--{flag} is empty: allowed are {', '.join(allowed)}")
    return list(dict.fromkeys(names))


def _filled(flag: str, values: list[str]) -> list[str]:
    if not values:
        raise UsageError(f"--{flag} is empty: name at least one")
    return values


def _integer(flag: str, text: str, also: str = "") -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--{flag}={text}: allowed are {also}integers from 1")
    return int(text)


def _print_table(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="ours beside the peer; ratio: median (least to largest) of neighbouring measurements")
    for column in ("suite", "size", "case", "ours", "peer", "unit", "ratio", "share of peak", "peer's name"):
        table.add_column(column, justify="right" if column in ("ours", "peer", "ratio", "share of peak") else "left")
    for row in rows:
        table.add_row(
            row["suite"],
            row["size"],
            row["case"],
            _number(row["ours"]),
            _number(row["peer"]),
            row["unit"],
            _ratio(row),
            "" if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}",
            row["peer_name"] + "".join(f"; {k}: {row[k]}" for k in ("skipped", "failed") if k in row),
        )
    Console(stderr=True, width=None if sys.stderr.isatty() else 160).print(table)


def _ratio(row: Row) -> str:
    if row["ratio_median"] is None:
        return ""
    return f"{row['ratio_median']:.3g} ({row['ratio_min']:.3g} to {row['ratio_max']:.3g})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    cli.run(main)
