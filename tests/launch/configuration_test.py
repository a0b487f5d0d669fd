"""Presets, overrides and the validation of every field."""

import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

from launch.configuration import defaults, resolve, settings
from launch.presets import demo, paper, remedies, smoke, tautologies
from logic.boolean.language import Boolean
from loop.config import Config, SweepConfig
from loop.cycles import USUAL


@pytest.mark.parametrize("preset", [smoke, demo, paper, remedies, tautologies])
def test_presets_resolve(preset):
    resolve(preset.get_config())
    assert "launch.main --config=launch/presets/" in preset.__doc__


def test_defaults_are_the_papers_and_survive_the_round_trip():
    config = resolve(defaults())
    assert config == Config()
    assert (config.model.num_layers, config.model.num_heads, config.model.width) == (6, 6, 384)
    assert (config.train.batch_size, config.train.max_steps, config.model.context_length) == (64, 5000, 256)
    assert (config.loop.num_examples, config.loop.generations, config.sample.temperature) == (10_000, 50, 0.8)


def test_the_papers_grid():
    cells = resolve(paper.get_config()).cells()
    assert len(cells) == len(set(cells)) == 5 * 4 * 5 + 5
    assert {c.cycle for c in cells} == set(USUAL)


def test_the_control_needs_no_ratio_and_a_cell_listed_twice_runs_once():
    c = defaults()
    c.sweep.update(cycles=("fresh", "full", "full"), fresh_ratios=(0.0, 0.5, 0.0), seeds=(3, 3))
    names = [cell.name for cell in resolve(c).cells()]
    assert names == ["fresh_fresh1_seed3", "full_fresh0_seed3", "full_fresh0.5_seed3"]


def test_a_field_that_may_be_none_is_given_as_the_number_it_is():
    c = defaults()
    c.loop.first_pool, c.loop.renewal_share = 6, 0.5
    assert (resolve(c).loop.first_pool, resolve(c).loop.renewal_share) == (6, 0.5)
    with pytest.raises(TypeError):
        c.loop.first_pool = 6.5


def test_renewal_share_is_of_growing_and_incremental_cycles_only():
    c = defaults()
    assert resolve(c).block_size("incremental") == 5_000
    assert resolve(c).block_size("expanding") == 10_000
    c.loop.renewal_share = 0.3
    assert [resolve(c).block_size(cycle) for cycle in USUAL] == [10_000, 3_000, 10_000, 3_000, 10_000, 10_000]


WRONG = [
    ("sweep.fresh_ratios", (0.5, 1.5), "1.5: allowed are ratios from 0 to 1"),
    ("sweep.fresh_ratios", (-0.1,), "-0.1"),
    ("sweep.fresh_ratios", ("a",), "a number is needed"),
    ("sweep.cycles", ("ful",), "did you mean full?"),
    ("sweep.cycles", (), "at least one"),
    ("sweep.seeds", (-1,), "allowed are integers"),
    ("sweep.seeds", (0.5,), "an integer is needed"),
    ("language.min_depth", 6, "min_depth <= max_depth"),
    ("language.max_depth", 13, "<= 12"),
    ("loop.num_examples", 0, "from 2"),
    ("loop.num_samples", 0, "from 1"),
    ("loop.num_samples", 9_999, "takes 10000 samples"),
    ("loop.generations", 0, "from 1"),
    ("loop.renewal_share", 0.0, "0 < share <= 1"),
    ("model.width", 385, "multiples of 6"),
    ("model.num_heads", 0, "from 1"),
    ("model.context_length", 3, "shortest real sample has 4 symbols"),
    ("model.dropout", 1.0, "dropout < 1"),
    ("model.positions", "sinusoidal", "learned, rotary"),
    ("model.dtype", "float16", "bfloat16"),
    ("model.vocab_size", 9, "allowed are 8"),
    ("train.batch_size", 0, "from 1"),
    ("train.micro_batch", 7, "the divisors of train.batch_size = 64: 1, 2, 4, 8, 16, 32, 64"),
    ("train.micro_batch", -1, "0 (automatic)"),
    ("train.learning_rate", 0.0, "above 0"),
    ("train.learning_rate", float("nan"), "above 0"),
    ("train.grad_clip", float("inf"), "1e30 is as good as infinite"),
    ("train.weight_decay", float("inf"), "allowed are"),
    ("sample.temperature", float("inf"), "allowed are"),
    ("sample.temperature", 1e-38, "allowed are 0 (the most probable symbol) and numbers from 1e-30"),
    ("sample.top_p", 1e-45, "from 1e-30"),
    ("train.beta2", 1.0, "beta < 1"),
    ("train.validation_fraction", 0.0, "0 < fraction < 1"),
    ("train.windows", "sliding", "random, aligned"),
    ("sample.temperature", -1.0, "allowed are 0"),
    ("sample.top_p", 0.0, "0 < top_p <= 1"),
    ("sample.top_k", 9, "to 8"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), WRONG)
def test_a_wrong_value_is_named_with_what_is_allowed(field, value, allowed):
    c = defaults()
    group, name = field.split(".")
    with c.ignore_type():
        setattr(c[group], name, value)
    with pytest.raises(ValueError) as error:
        resolve(c)
    assert field in str(error.value)
    assert allowed in str(error.value)
    assert "\n" not in str(error.value)


def with_axes(axes):
    c = smoke.get_config()
    c.sweep.axes = axes
    return c


def test_axes_are_every_combination_of_their_values():
    found = settings(
        with_axes((("sample.temperature", (0.6, 1)), ("model.width", (16, 32)), ("train.validation", "real")))
    )
    assert list(found) == [
        f"sample.temperature={t},model.width={w},train.validation=real" for t in (0.6, 1) for w in (16, 32)
    ]
    last = list(found.values())[-1]
    assert (last.sample.temperature, last.model.width, last.train.validation) == (1.0, 32, "real")
    plain = resolve(smoke.get_config())
    assert last.train == dataclasses.replace(plain.train, validation="real")
    assert last.sweep == plain.sweep
    assert settings(smoke.get_config()) == {"": plain}


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ((("model.widht", (1,)),), "did you mean model.width?"),
        ((("sweep.seeds", (1,)),), "sweep.seeds"),
        ((("model.width", (15,)),), "model.width = 15: allowed are multiples"),
        ((("model.width", ("a",)),), "model.width = 'a': an integer"),
        ((("model.width", ()),), "at least one value"),
        ((("model.width", (16, 16)),), "each once"),
        ((("model.width", (16,)), ("model.width", (32,))), "each field once"),
        (("model.width",), "pairs of a field and its values"),
    ],
)
def test_wrong_axes_are_refused(axes, named):
    with pytest.raises(ValueError) as error:
        settings(with_axes(axes))
    assert named in str(error.value)


def test_unknown_fields_are_named_with_the_nearest():
    c = defaults()
    with c.unlocked():
        c.model.widht = 3
    with pytest.raises(ValueError, match=r"model\.widht: no such field; did you mean width\?"):
        resolve(c)


def test_every_field_has_a_comment():
    for group in dataclasses.fields(Config):
        cls = type(getattr(Config(), group.name))
        lines = inspect.getsource(cls).splitlines()
        for field in dataclasses.fields(cls):
            line = next(x for x in lines if x.strip().startswith(f"{field.name}:"))
            assert "#" in line or (cls is Boolean and field.name == "name"), line


def test_a_sweep_may_be_given_as_any_sequences():
    given: dict[str, Any] = {"cycles": ["full"], "fresh_ratios": np.array([0.0, 0.5]), "seeds": range(2)}
    assert (
        Config(sweep=SweepConfig(**given)).cells() == Config(sweep=SweepConfig(("full",), (0.0, 0.5), (0, 1))).cells()
    )
