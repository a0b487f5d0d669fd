"""How the training went and what it took: counted while it ran."""

from eval.measures.measure import TRAINING, Measure


def _counter(name: str, label: str, unit: str, meaning: str) -> Measure:
    needs = ("costs",) if name.endswith("_seconds") else ("training",)
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
)
