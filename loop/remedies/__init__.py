"""What is tried against the collapse, by name: a new remedy is a file and a line here.

Chains of them are spelled `verified|unique(copies=2)`: see loop/spelling.py.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

from logic.errors import UsageError
from logic.language import Language
from loop.remedies.depth_quota import DepthQuota
from loop.remedies.detector import Detector
from loop.remedies.edit import Edit
from loop.remedies.entropy_rate import EntropyRate
from loop.remedies.focal import Focal
from loop.remedies.golden import Golden
from loop.remedies.guided import Guided
from loop.remedies.negative import Negative
from loop.remedies.remedy import DEPTH, LOGITS, NETWORK, PLACES, REAL, SURPRISE, VERDICTS, WRITTEN, Remedy
from loop.remedies.sampled import Sampled
from loop.remedies.surplexity import Surplexity
from loop.remedies.truncated import Truncated
from loop.remedies.unique import Unique
from loop.remedies.verified import Verified
from loop.spelling import NOTHING, parse_chain, spell_chain
from model.config import SampleConfig

REMEDIES: dict[str, type[Remedy]] = {
    "verified": Verified,
    "unique": Unique,
    "depth_quota": DepthQuota,
    "surplexity": Surplexity,
    "entropy_rate": EntropyRate,
    "detector": Detector,
    "golden": Golden,
    "truncated": Truncated,
    "focal": Focal,
    "negative": Negative,
    "guided": Guided,
    "sampled": Sampled,
    "edit": Edit,
}

FIELD = "sweep.remedies"


@functools.cache
def remedies_of(spelling: str) -> tuple[Remedy, ...]:
    """The remedies of a chain, in order. Raises UsageError for anything unknown."""
    return parse_chain(spelling, REMEDIES, FIELD)


def canonical_remedies(spelling: str) -> str:
    """The canonical spelling of a chain. Raises UsageError for anything unknown, or for what cannot act together."""
    chain = remedies_of(spelling)
    if len({type(remedy) for remedy in chain}) < len(chain):
        raise UsageError(f"{FIELD} = {spelling}: allowed is each remedy once")
    for place in PLACES:
        if place != "select" and len(acting(chain, place)) > 1:
            raise UsageError(f"{FIELD} = {spelling}: both act at the place {place!r}: allowed is one that does")
    return spell_chain(chain, REMEDIES)


def acting(chain: Iterable[Remedy], place: str) -> list[Any]:
    """Those of the remedies that act at a place of PLACES."""
    return [remedy for remedy in chain if isinstance(remedy, PLACES[place])]


def needing(chain: Iterable[Remedy], *needs: str) -> list[Any]:
    """Those that need any of these (see remedy.py)."""
    return [remedy for remedy in chain if set(needs) & set(remedy.needs)]


def reach(spelling: str) -> int:
    """How many generations' samples a chain chooses from, the newest included."""
    return max((getattr(remedy, "pool", 1) for remedy in acting(remedies_of(spelling), "select")), default=1)


def network_part(spelling: str) -> str:
    """The part of a chain that makes a model another one, or write otherwise: in generation 0, where all data is real,
    cells that agree in it are equal."""
    chain = remedies_of(spelling)
    of_the_block = ("select", "edit")
    return spell_chain([r for r in chain if any(acting([r], p) for p in PLACES if p not in of_the_block)], REMEDIES)


def sampling_with(spelling: str, sample: SampleConfig) -> SampleConfig:
    """How a model is sampled: as the settings say, or as a remedy of the chain does."""
    for remedy in acting(remedies_of(spelling), "sample"):
        return dataclasses.replace(sample, temperature=remedy.temperature, top_p=remedy.top_p)
    return sample


def guides(spelling: str) -> bool:
    """Whether a second model has a say in every symbol that is written."""
    return any(remedy.combines == LOGITS for remedy in acting(remedies_of(spelling), "combine"))


def check_remedies(spelling: str, language: Language, is_network: bool, learner: str) -> None:
    """Raises UsageError for a chain that the language or the learner lacks something for."""
    chain = remedies_of(spelling)
    idle = [r for r in chain if isinstance(r, Verified) and not r.keep_true and not r.keep_false]
    if idle:
        raise UsageError(f"{FIELD} = {spelling}: keep_true = keep_false = 0: nothing would be left to choose from")
    if not is_network and needing(chain, NETWORK, SURPRISE, WRITTEN):
        raise UsageError(f"{FIELD} = {spelling}: it acts on a network, {learner} is none")
    if needing(chain, VERDICTS) and not language.verdicts:
        raise UsageError(f"{FIELD} = {spelling}: it needs verdicts, the language {language.name} has none")
    names = [verdict.name for verdict in language.verdicts]
    for remedy in chain:
        if isinstance(remedy, Verified) and remedy.level is not None and remedy.level not in names:
            raise UsageError(f"{FIELD} = {spelling}: level = {remedy.level}: allowed are {', '.join(names)}")
    if needing(chain, REAL) and language.log_probability([]) is None:
        raise UsageError(f"{FIELD} = {spelling}: it needs exact probabilities, the language {language.name} has none")
    if needing(chain, DEPTH) and not any(s.name == "depth" for s in language.statistics):
        raise UsageError(f"{FIELD} = {spelling}: it needs exact depths, the language {language.name} has none")


__all__ = ["NOTHING", "REMEDIES", "acting", "canonical_remedies", "check_remedies", "needing", "remedies_of"]
