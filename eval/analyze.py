"""Samples and measures one model of a run again, from its checkpoint, or asks it for likelihoods.

    python -m eval.analyze --workdir=DIR --generation=7 --cell=full_fresh0.25_seed0 [--temperature=1.0] [--top_k=3]
    python -m eval.analyze --workdir=DIR --generation=7 --expressions=FILE --num_samples=0
    python -m eval.analyze --workdir=DIR --generation=7 --compare=0
    python -m eval.analyze --workdir=DIR --generation=7 --compare_workdir=OTHER [--compare_cell=full_fresh0_seed1]

Without settings, the model is sampled as the run did, and on the same kind of device the run's own samples and
measures come out again, to the last digit. The measures have the names of metrics.csv. Prints one JSON object, or
tables on a terminal. No accelerator is needed, whatever the run had.

In Python:

    m = load_generation("runs/demo", "full_fresh0.25_seed0", 7)
    resample(m, Sampling(temperature=1.2)), likelihood(m, m.language.encode(["(not False)"])), m.samples, m.training_set
"""

import dataclasses
import json
import math
import sys
from collections import Counter
from typing import Any

import numpy as np
from absl import flags

from eval.loaded import OWN, LoadedGeneration, Sampling, cells, likelihood, load_generation, resample
from eval.measures.change import jensen_shannon
from eval.measures.likelihood import mean_estimate
from eval.measures.observation import Observation
from eval.measures.registry import Row, measure
from logic.errors import UsageError, usage_errors
from logic.language import Language
from logic.lines import read_lines
from loop.examples import Examples
from loop.storage.shards import open_run


@dataclasses.dataclass(frozen=True)
class Analysis:
    """New samples of a model, and the measures of both."""

    loaded: LoadedGeneration
    sampling: Sampling  # with every field filled in
    samples: list[bytes]  # none if none were asked for
    measures: Row  # under their names in metrics.csv

    def record(self) -> dict[str, Any]:
        """Ready for JSON. `run_measures` are the run's own; `equal_to_run`, the share of the new samples that are the
        run's, in order, is null unless all settings are."""
        loaded, equal = self.loaded, None
        own = self.sampling == OWN.of(loaded)
        if own and loaded.directory.has_samples(loaded.generation):
            pairs = zip(self.samples, loaded.samples.expressions, strict=True)
            equal = float(np.mean([new == old for new, old in pairs]))
        return {
            "workdir": str(loaded.directory.path),
            "cell": loaded.cell.name,
            "generation": loaded.generation,
            "sampling": dataclasses.asdict(self.sampling),
            "measures": self.measures,
            "run_measures": {name: loaded.row[name] for name in self.measures if name in loaded.row},
            "equal_to_run": equal,
        }


def analyze(loaded: LoadedGeneration, how: Sampling = OWN, samples: bool = True) -> Analysis:
    """Samples a model and measures it; without `samples`, only its distance from R on the held-out expressions."""
    how = how.of(loaded)
    nll_N = likelihood(loaded, loaded.held_out, cut=True)
    language = loaded.language
    known = Observation(language, held_out=loaded.held_out, held_out_nll=nll_N)
    if not samples:
        return Analysis(loaded, dataclasses.replace(how, num_samples=0), [], measure(known))
    written, train = resample(loaded, how), loaded.training_set
    observation = dataclasses.replace(
        known,
        samples=Examples.written(written, loaded.generation, train),
        verdicts=language.verify(written),
        training_set=train,
    )
    return Analysis(loaded, how, written, measure(observation))


def compare(one: Analysis, other: Analysis) -> dict[str, Any]:
    """What differs between two models, M and M'.

    `difference`: measures of M less those of M', where both have them. `js_samples`: Jensen-Shannon divergence of the
    samples in nats, biased upwards (see eval/measures/distribution.py). `kl_to_compared` = KL(M‖M') and
    `kl_from_compared` = KL(M'‖M) in nats at temperature 1, each estimated without bias on as many samples of its first
    model; `symmetric_kl` is their sum. Distances are left out without samples, those of the models also where they cut
    expressions at different lengths.
    """
    difference: Row = {}
    for name, value in one.measures.items():
        against = other.measures.get(name)
        if value is not None and against is not None and not name.endswith("_se"):
            difference[name] = value - against
    result: dict[str, Any] = {"difference": difference}
    if not one.samples or not other.samples:
        return result
    result["js_samples"] = jensen_shannon(Counter(one.samples), Counter(other.samples))
    if one.loaded.model.context_length == other.loaded.model.context_length:
        to, back = _kl(one, other), _kl(other, one)
        result |= {"kl_to_compared": to.value, "kl_to_compared_se": to.standard_error}
        result |= {"kl_from_compared": back.value, "kl_from_compared_se": back.standard_error}
        result |= {"symmetric_kl": to.value + back.value}
        result |= {"symmetric_kl_se": math.hypot(to.standard_error, back.standard_error)}
    return result


def _kl(one: Analysis, other: Analysis) -> Any:
    """KL(M‖M') from samples of M at temperature 1."""
    plain = dataclasses.replace(one.sampling, temperature=1.0, top_k=0, top_p=1.0)
    samples = one.samples if plain == one.sampling else resample(one.loaded, plain)
    p, q = (likelihood(analysis.loaded, samples).astype(np.float64) for analysis in (one, other))
    return mean_estimate(q - p)


# The command.


def read_expressions(path: str, language: Language, context_length: int) -> list[bytes]:
    """The expressions of a file, or of standard input if `path` is `-`. Raises UsageError with the line refused."""
    name = "standard input" if path == "-" else f"file {path!r}"
    expressions: list[bytes] = []
    for lines in read_lines(path):
        for line, e in zip(lines, language.encode(lines), strict=True):
            at = f"{name}, line {len(expressions) + 1}"
            unknown = [i for i, symbol in enumerate(e) if symbol >= len(language.vocabulary)]
            if unknown:
                raise UsageError(f"{at}: {language.words(line)[unknown[0]]!r} is no word of the language")
            if len(e) > context_length:
                raise UsageError(f"{at}: {len(e)} symbols, and the model's context has {context_length}")
            expressions.append(e)
    return expressions


def describe(loaded: LoadedGeneration, expressions: list[bytes]) -> list[dict[str, Any]]:
    """Each expression with -log M(e), log R(e) in nats (None outside the support of R, or unknown) and its verdicts."""
    language, n = loaded.language, len(expressions)
    nll_N, log_real_N = likelihood(loaded, expressions), language.log_probability(expressions)
    real: list[float | None] = [None] * n
    if log_real_N is not None:
        real = [value if np.isfinite(value) else None for value in log_real_N.tolist()]
    verdicts = {name: verdict_N.tolist() for name, verdict_N in language.verify(expressions).items()}
    return [
        {"expression": text, "nll": nll, "log_real": log_real, **{name: verdicts[name][i] for name in verdicts}}
        for i, (text, nll, log_real) in enumerate(zip(language.decode(expressions), nll_N.tolist(), real, strict=True))
    ]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _load(workdir: str, cell: str | None, generation: int) -> LoadedGeneration:
    if cell is None:
        names = [c.name for c in cells(open_run(workdir))]
        cell = names[0]
        if len(names) > 1:
            _say(f"--cell is not given: {cell}, the first of {', '.join(names)}")
    return load_generation(workdir, cell, generation)


def _analyze(loaded: LoadedGeneration, how: Sampling, samples: bool) -> Analysis:
    what = f"sampling and measuring {how.of(loaded).num_samples}" if samples else "measuring"
    _say(f"{what}: {loaded.cell.name}, generation {loaded.generation}")
    return analyze(loaded, how, samples)


def main(argv: list[str]) -> None:
    """Answers what the flags ask."""
    given = flags.FLAGS
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}: everything is given by flags")
    if not given.workdir:
        raise UsageError("--workdir is missing: name the directory of a run")
    if given.generation is None:
        first = cells(open_run(given.workdir))[0]
        there = open_run(given.workdir).generations(first)
        raise UsageError(f"--generation is missing: of {first.name}, there are {', '.join(map(str, there))}")
    from loop import arithmetic, devices  # import JAX

    arithmetic.settle(_say)
    devices.find()
    loaded = _load(given.workdir, given.cell, given.generation)
    other = None
    if given.compare is not None or given.compare_workdir or given.compare_cell:
        generation = given.generation if given.compare is None else given.compare
        cell = given.compare_cell or loaded.cell.name
        other = load_generation(given.compare_workdir or given.workdir, cell, generation)
    names = [field.name for field in dataclasses.fields(Sampling)]
    how = Sampling(**{name: getattr(given, name) for name in names})
    samples = how.num_samples != 0
    if not samples:
        how = dataclasses.replace(how, num_samples=None)
    with usage_errors():
        for model in filter(None, (loaded, other)):
            how.of(model)
    expressions = None
    if given.expressions:
        expressions = read_expressions(given.expressions, loaded.language, loaded.model.context_length)

    analysis = _analyze(loaded, how, samples)
    result = analysis.record()
    if expressions is not None:
        result["expressions"] = describe(loaded, expressions)
    if other is not None:
        second = _analyze(other, how, samples)
        result |= {"compared": second.record(), **compare(analysis, second)}
    if given.json or not sys.stdout.isatty():
        print(json.dumps(result, allow_nan=False))
    else:
        print_tables(result)


def print_tables(result: dict[str, Any]) -> None:
    """Prints what the command found to a terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)

    def show(title: str, columns: dict[str, dict[str, Any]]) -> None:
        table = Table("", *columns, title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for name in next(iter(columns.values())):
            table.add_row(name, *(_number(values.get(name)) for values in columns.values()))
        console.print(table)

    def title(record: dict[str, Any]) -> str:
        settings = ", ".join(f"{name} {value}" for name, value in record["sampling"].items())
        return f"{record['cell']}, generation {record['generation']}: {settings}"

    columns = {"now": result["measures"], "the run's own": result["run_measures"]}
    if "compared" in result:
        columns |= {"compared": result["compared"]["measures"], "difference": result["difference"]}
        console.print(f"compared with {title(result['compared'])}, of {result['compared']['workdir']}")
    show(title(result), columns)
    if result["equal_to_run"] is not None:
        console.print(f"{result['equal_to_run']:.2%} of the samples are the run's own")
    distances = {name: result[name] for name in result if name.startswith(("js_", "kl_", "symmetric_"))}
    if distances:
        show("Distance in nats", {"": distances})
    if "expressions" in result:
        verdicts = [
            name for name in (result["expressions"] or [{}])[0] if name not in ("expression", "nll", "log_real")
        ]
        table = Table("expression", "-log M", "log R", *verdicts)
        for e in result["expressions"]:
            answers = ("yes" if e[name] else "no" for name in verdicts)
            table.add_row(e["expression"], _number(e["nll"]), _number(e["log_real"]), *answers)
        console.print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


if __name__ == "__main__":
    from launch import cli

    # Here, since commands share names of flags.
    flags.DEFINE_string("workdir", None, "directory of the run")
    flags.DEFINE_string("cell", None, "its name, such as full_fresh0.25_seed0; the run's first one if not given")
    flags.DEFINE_integer("generation", None, "of the model, from 0")
    flags.DEFINE_float("temperature", None, "divides the logits; 0 takes the most probable symbol (default: the run's)")
    flags.DEFINE_integer("top_k", None, "keep the k most probable symbols; 0 keeps all (default: the run's)")
    flags.DEFINE_float("top_p", None, "keep the most probable symbols up to this mass (default: the run's)")
    flags.DEFINE_integer("num_samples", None, "how many; 0: none, only likelihoods (default: the run's)")
    flags.DEFINE_integer("seed", None, "of the samples' random stream (default: the cell's)")
    flags.DEFINE_string(
        "expressions", None, "file of expressions, one a line, or - for standard input: their likelihoods"
    )
    flags.DEFINE_integer("compare", None, "another generation to compare with")
    flags.DEFINE_string("compare_workdir", None, "another run to compare with (default: this one)")
    flags.DEFINE_string("compare_cell", None, "another cell to compare with (default: this one)")
    flags.DEFINE_boolean("json", False, "print JSON on a terminal as well")
    cli.run(main)
