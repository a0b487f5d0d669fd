"""What a collapse looks like inside: distributions, the most frequent samples, and where the survivors come from."""

from collections import Counter
from typing import Any

import numpy as np

from logic.boolean.grammar import Grammar
from logic.boolean.symbols import UNKNOWN, WORDS, decode
from logic.boolean.trees import commutative_form
from logic.boolean.truth_table import evaluate
from logic.boolean.verifier import Verdicts
from logic.ids import lengths
from loop.examples import GENERATED, Examples

TOP = 10  # most frequent samples that are listed


def unique_trees_fraction(counts: Counter) -> float:
    """Distinct samples modulo commutativity / all samples; `str` samples have one character a symbol, and are
    no trees where one is outside the vocabulary."""
    forms = set()
    for e in counts:
        if isinstance(e, str) and max(e, default="") < chr(UNKNOWN):
            e = e.encode()
        forms.add(commutative_form(e) if isinstance(e, bytes) else e)
    return len(forms) / counts.total()


def real_root_share(samples: Examples) -> float:
    """Share of the samples whose expression has come down, model by model, from a draw of the real distribution."""
    return float(np.mean(samples.root < 0))


def anatomy(samples: Examples, verdicts: Verdicts, train: Examples, grammar: Grammar) -> dict[str, Any]:
    """One cell and generation, ready for JSON.

    `depth`, `length`: samples with that value, from 0 on. `symbols`: how often each word was written. `top`: the most
    frequent samples, `probability` being their true one. `roots`: [root, samples] by the generation whose model first
    wrote the expression, or -1 - k if it was drawn for D_k. `train_origin`: [source, generation, examples].
    """
    counts = Counter(samples.expressions)
    first = {e: i for i, e in reversed(list(enumerate(samples.expressions)))}
    top = counts.most_common(TOP)
    log_real = grammar.log_probability([e for e, _ in top])
    written = np.bincount(np.frombuffer(b"".join(samples.expressions), np.uint8), minlength=len(WORDS))
    origin = Counter(zip(train.source.tolist(), train.generation.tolist(), strict=True))
    return {
        "samples": len(samples),
        "distinct": len(counts),
        "distinct_trees": len({commutative_form(e) for e in counts}),
        "depth": np.bincount(evaluate(samples.expressions).depth).tolist(),
        "length": np.bincount(lengths(samples.expressions)).tolist(),
        "symbols": {word: int(n) for word, n in zip(WORDS[1:], written[1:], strict=True)},
        "top": [
            {
                "expression": text,
                "share": n / len(samples),
                "probability": float(np.exp(log_p)),
                **{name: bool(verdict[first[e]]) for name, verdict in verdicts._asdict().items()},
            }
            for (e, n), text, log_p in zip(top, decode([e for e, _ in top]), log_real, strict=True)
        ],
        "roots": sorted([int(root), n] for root, n in Counter(samples.root.tolist()).items()),
        "train_origin": [
            ["generated" if source == GENERATED else "real", generation, n]
            for (source, generation), n in sorted(origin.items())
        ],
    }
