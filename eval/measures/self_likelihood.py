"""How likely the model finds what it writes: likelihoods of its own rise, and of generation 0's model, as it collapses.

Counted by the loop, which has the models: loop/self_likelihood.py.
"""

from eval.measures.measure import WRITES, Measure
from loop.self_likelihood import FIRST, JUDGED, SELF

_OF = f"of the first {JUDGED:,} samples (`<eos>` included), at temperature 1"
MEASURES = (
    Measure(
        SELF,
        lambda o: (o.counters or {}).get(SELF),
        "own samples under the model",
        WRITES,
        "nats per symbol",
        f"-log probability per symbol {_OF}, under the model that wrote them",
        ("self_likelihood",),
    ),
    Measure(
        FIRST,
        lambda o: (o.counters or {}).get(FIRST),
        "own samples under generation 0's model",
        WRITES,
        "nats per symbol",
        f"-log probability per symbol {_OF}, under the model of the cell's generation 0",
        ("first_likelihood",),
    ),
)
