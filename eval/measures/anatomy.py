"""What a collapse looks like inside: distributions, the most frequent samples, and where the survivors come from."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from logic.language import Language, Verdicts
from loop.examples import GENERATED, Examples

TOP = 10  # most frequent samples that are listed


def anatomy(samples: Examples, verdicts: Verdicts, train: Examples, language: Language) -> dict[str, Any]:
    """One cell and generation, ready for JSON.

    `depth` (of a language that has one), `length`: samples with that value, from 0 on. `passed_by_depth`: by verdict,
    how many of each depth pass it. `functions` (of a language whose subtrees have them): [function, subtrees] of the
    samples in the support. `symbols`: how often each word was written. `top`: the most frequent samples, `probability`
    being their true one, null if it cannot be computed. `roots`: [root, samples] by the generation whose model first
    wrote the expression, or -1 - k for a draw for D_k. `train_origin`: [source, generation, examples].
    """
    verdicts = {v.name: verdicts[v.name] for v in language.verdicts}  # stored ones come back in another order
    counts = Counter(samples.expressions)
    first = {e: i for i, e in reversed(list(enumerate(samples.expressions)))}
    top = counts.most_common(TOP)
    log_real = language.log_probability([e for e, _ in top])
    probability = [None] * len(top) if log_real is None else np.exp(log_real).tolist()
    depth_N, length_N = language.depth(samples.expressions), np.array([len(e) for e in samples.expressions], np.int64)
    written = np.bincount(np.frombuffer(b"".join(samples.expressions), np.uint8), minlength=len(language.vocabulary))
    origin = Counter(zip(train.source.tolist(), train.generation.tolist(), strict=True))
    return {
        "samples": len(samples),
        "distinct": len(counts),
        "distinct_trees": len({language.normal_form(e) for e in counts}),
        **({} if depth_N is None else _by_depth(depth_N, verdicts)),
        "length": np.bincount(length_N).tolist(),
        **_functions(samples.expressions, verdicts, language),
        "symbols": {word: int(n) for word, n in zip(language.vocabulary[1:], written[1:], strict=True)},
        "top": [
            {
                "expression": text,
                "share": n / len(samples),
                "probability": p,
                **{name: bool(verdict_N[first[e]]) for name, verdict_N in verdicts.items()},
            }
            for (e, n), text, p in zip(top, language.decode([e for e, _ in top]), probability, strict=True)
        ],
        "roots": sorted([int(root), n] for root, n in Counter(samples.root.tolist()).items()),
        "train_origin": [
            ["generated" if source == GENERATED else "real", generation, n]
            for (source, generation), n in sorted(origin.items())
        ],
    }


def _by_depth(depth_N: np.ndarray, verdicts: Verdicts) -> dict[str, Any]:
    size = depth_N.max(initial=-1) + 1
    passed = {name: np.bincount(depth_N[passed_N], minlength=size).tolist() for name, passed_N in verdicts.items()}
    return {"depth": np.bincount(depth_N).tolist(), **({"passed_by_depth": passed} if passed else {})}


def _functions(samples: Sequence[bytes], verdicts: Verdicts, language: Language) -> dict[str, Any]:
    if language.functions is None or language.support is None:
        return {}
    count_F = language.functions.counts(list(itertools.compress(samples, verdicts[language.support].tolist())))
    found = np.flatnonzero(count_F)
    return {"functions": np.stack([found, count_F[found]], axis=1).tolist()}
