"""The n-gram model: counts of symbols after their contexts, smoothed, so that it invents.

Witten and Bell's interpolation (IEEE Trans. Information Theory 37, 1991, method C): with c(h) examples of a context h
and t(h) different symbols seen after it,

    p(w | h) = (c(h, w) + t(h) p(w | h')) / (c(h) + t(h)),

h' being h without its oldest symbol, and the uniform distribution below the empty context. A context that was never
seen leaves its place to the longest of its ends that was. That is an automaton whose states are the seen contexts.

Axes: C contexts of one length, S states (the contexts of all lengths, the empty one first), V vocabulary, N samples.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from logic.language import EOS
from loop.learners.sharpen import draw, sharpen
from model.config import SampleConfig


@dataclasses.dataclass(frozen=True)
class NGram:
    """Predicts a symbol from the `order` - 1 before it, within its expression."""

    order: int = 5  # symbols of an n-gram; 1 knows no context

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 7:  # a context is one integer
            raise ValueError(f"order = {self.order}: allowed are 1 to 7")

    def learn(self, examples: Sequence[bytes], language: Any, context_length: int) -> "Automaton":
        """Counts the n-grams of the examples, each between two `<eos>`; `language.vocabulary` says what there is."""
        if not examples:
            raise ValueError("examples: at least one is needed")
        V, K = len(language.vocabulary), self.order - 1
        _check_symbols(examples, V)
        # Every symbol to predict, and an `<eos>` for each place before the expression that a context can reach to.
        flat = np.frombuffer(b"".join(bytes(K) + e + bytes(1) for e in examples), np.uint8).astype(np.int64)
        length_N = np.array([len(e) + 1 for e in examples])
        start_N = np.cumsum(length_N + K) - length_N
        target = np.repeat(start_N - np.cumsum(length_N) + length_N, length_N) + np.arange(length_N.sum())

        keys_KC: list[np.ndarray] = []  # per length, the contexts as numbers of base V, in order
        tables: list[np.ndarray] = []
        key, below = np.zeros(len(target), np.int64), np.full((1, V), 1 / V)
        for k in range(K + 1):
            if k:
                key = key + flat[target - k] * V ** (k - 1)  # the oldest symbol is the leading digit
            keys, place = np.unique(key, return_inverse=True)
            count_CV = np.bincount(place * V + flat[target], minlength=len(keys) * V).reshape(len(keys), V)
            kinds_C1 = np.count_nonzero(count_CV, axis=1)[:, None]
            if k:
                below = tables[-1][np.searchsorted(keys_KC[-1], keys % V ** (k - 1))]
            tables.append((count_CV + kinds_C1 * below) / (count_CV.sum(axis=1, keepdims=True) + kinds_C1))
            keys_KC.append(keys)
        return Automaton(np.log(np.concatenate(tables)), _transitions(keys_KC, V), context_length)


def _check_symbols(examples: Sequence[bytes], V: int) -> None:
    greatest = max((max(e, default=0) for e in examples), default=0)
    if greatest >= V:
        raise ValueError(f"examples: symbol {greatest} is not in the vocabulary of {V}")


def _transitions(keys_KC: list[np.ndarray], V: int) -> np.ndarray:
    """next_SV: the state after each symbol, the longest seen end of the context and that symbol."""
    offset_K = np.cumsum([0, *map(len, keys_KC)])
    K = len(keys_KC) - 1
    parts = []
    for k, keys in enumerate(keys_KC):
        extended_CV = keys[:, None] * V + np.arange(V)
        next_CV = np.zeros(extended_CV.shape, np.int64)  # the empty context has been seen
        for j in range(1, min(k + 1, K) + 1):  # longer ends later, so that the longest stays
            end_CV = extended_CV % V**j
            place_CV = np.minimum(np.searchsorted(keys_KC[j], end_CV), len(keys_KC[j]) - 1)
            next_CV = np.where(keys_KC[j][place_CV] == end_CV, offset_K[j] + place_CV, next_CV)
        parts.append(next_CV)
    return np.concatenate(parts)


@dataclasses.dataclass(frozen=True)
class Automaton:
    """What was learnt. A sample begins in the state of the context of nothing but `<eos>`."""

    log_p_SV: np.ndarray
    next_SV: np.ndarray
    context_length: int

    @property
    def _start(self) -> int:
        """The longest context's first key is 0: nothing but `<eos>`. Every state reaches it by ends of its own."""
        state = 0
        while (after := int(self.next_SV[state, EOS])) != state:
            state = after
        return state

    def sample(self, n: int, rng: np.random.Generator, config: SampleConfig) -> list[bytes]:
        """Writes n independent samples side by side."""
        log_p_SV = sharpen(self.log_p_SV, config)
        ids_NT = np.zeros((n, self.context_length), np.uint8)
        state, going = np.full(n, self._start), np.arange(n)
        for j in range(self.context_length):
            symbol = draw(log_p_SV[state], rng)
            ids_NT[going, j] = symbol
            kept = symbol != EOS
            going, state = going[kept], self.next_SV[state[kept], symbol[kept]]
            if not len(going):
                break
        length_N = np.count_nonzero(ids_NT, axis=1)
        return [row[:length].tobytes() for row, length in zip(ids_NT, length_N.tolist(), strict=True)]

    def log_likelihood(self, samples: Sequence[bytes]) -> np.ndarray:
        """log M(e) in nats at temperature 1, float64_N; a symbol outside the vocabulary makes it minus infinity."""
        T, (_, V) = self.context_length, self.log_p_SV.shape
        length_N = np.array([min(len(e), T) for e in samples], np.int64)
        ids_NT = np.zeros((len(samples), T + 1), np.int64)
        for row, e in zip(ids_NT, samples, strict=True):
            row[: min(len(e), T)] = np.frombuffer(e[:T], np.uint8)
        known_N = (ids_NT < V).all(axis=1)
        ids_NT = np.minimum(ids_NT, V - 1)
        total_N, state_N = np.zeros(len(samples)), np.full(len(samples), self._start)
        for j in range(min(int(length_N.max(initial=0)) + 1, T)):
            symbol_N = ids_NT[:, j]
            total_N += np.where(j <= length_N, self.log_p_SV[state_N, symbol_N], 0.0)
            state_N = self.next_SV[state_N, symbol_N]
        return np.where(known_N, total_N, -np.inf)
