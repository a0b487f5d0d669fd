import dataclasses

from eval.references import references
from logic.boolean.language import Boolean
from loop.config import Config, LoopConfig, SweepConfig
from model.config import ModelConfig, SampleConfig


def record(**other):
    config = Config(
        Boolean(1, 2),
        ModelConfig(context_length=16),
        sample=SampleConfig(temperature=0.6),
        loop=LoopConfig(generations=2, num_examples=50, num_samples=50),
        sweep=SweepConfig(("full", "fresh"), (0.5,), (3,)),
    )
    return {"config": dataclasses.asdict(config) | other}


def test_references_are_those_of_the_recorded_configuration():
    found = references(record())
    assert list(found.fields) == [("full", 0.5), ("fresh", 1.0)]
    assert found.missing == ""
    assert [len(f["generations"]) for f in found.fields.values()] == [2, 2]
    assert list(found.fields["full", 0.5]["from_first_data"]) == [3]
    at_one = references(record(sample={"temperature": 1.0, "top_k": 0, "top_p": 1.0}))
    assert at_one.fields["full", 0.5] != found.fields["full", 0.5]


def test_references_say_why_they_are_missing():
    for fields, reason in (
        ({"language": {"max_depth": 3}}, "91,355 expressions, more than 5,000"),
        ({"language": {"max_depth": 5}}, "language.max_depth = 5"),
        ({"sample": {}}, "of another version"),
        ({"language": {"name": "none"}}, "language.name"),
    ):
        found = references(record(**fields))
        assert not found.fields
        assert reason in found.missing and "\n" not in found.missing
    unknown = record(sweep={"cycles": ["another", "full"], "fresh_ratios": [0.5], "seeds": [0]})
    assert list(references(unknown).fields) == [("full", 0.5)]
