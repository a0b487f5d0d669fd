"""How the training went and what it took: counted while it ran."""

from eval.measures.measure import TRAINING, Measure
from logic.language import Language

_OF_TRAINING = ("train_loss", "validation_loss", "steps", "train_tokens")  # by gradient descent


def _counter(name: str, label: str, unit: str, meaning: str) -> Measure:
    needs = ("training",) if name in _OF_TRAINING else ("costs",)
    return Measure(name, lambda o: (o.counters or {}).get(name), label, TRAINING, unit, meaning, needs)


_LOSS = "of the parameters that were sampled (lowest validation loss)"
_TIME = "wall time, shared out over the cells that ran side by side"
MEASURES = (
    _counter("train_loss", "training loss", "nats per symbol", f"training loss {_LOSS}"),
    _counter("validation_loss", "validation loss", "nats per symbol", f"validation loss {_LOSS}"),
    _counter("steps", "steps", "", "optimiser steps really taken"),
    _counter("train_seconds", "time of training", "s", _TIME),
    _counter("sample_seconds", "time of sampling", "s", _TIME),
    _counter("train_tokens", "training symbols", "", "symbols read in training"),
    _counter("samples_written", "samples written", "", "samples that were written, for the loop and for remedies"),
    _counter("samples_verified", "samples verified", "", "of them, those whose verdicts a remedy used"),
    _counter("extra_steps", "extra steps", "", "optimiser steps that a remedy took besides the training's"),
    _counter(
        "real_examples",
        "real examples so far",
        "",
        "drawn from the real distribution for this and all earlier training sets",
    ),
    _counter(
        "examples_edited",
        "real examples edited",
        "",
        "real examples for the next training set that a remedy has changed",
    ),
)


def broken(language: Language) -> list[Measure]:
    """Where a language says what is correct, what an edit has made incorrect."""
    meaning = "of them, those that are no longer correct"
    return [_counter("examples_broken", "real examples broken", "", meaning)] if language.correct else []
