"""The paper's questions at laptop scale, part by part; `make study` runs them all, and goes on where it was stopped.

    python -m launch.main --config=launch/presets/study.py:grid --workdir=runs/study/grid

| part | question |
|---|---|
| `grid` | the paper's table: six cycles, φ = 0 to 0.75 and the control, 50 generations, temperature 0.8 |
| `long` | does fresh data stop the fall? `full`, four ratios, 200 generations, temperatures 0.8 and 1.0 |
| `temperature`, `examples`, `first_pool`, `depth`, `width` | what does the fall depend on? φ = 0, 20 generations |

docs/results.md has the minutes that they took on two cores.
`--shard=I/5` runs the cells of one seed (of `long`, `I/3`), so that a part can be spread over days or machines.

`PART-tiny` is the same in seconds, with models too small to learn: for tests of the whole way.

The model is the demo's, narrower and trained on three times as many windows: generation 0 at 0.8 is 96.1 % correct.
What was tried, mean of four seeds in per cent; layers x width, steps x windows, 10^9 operations of a training, and the
peak learning rate:

| | operations | 4e-3 | 6e-3 | 8e-3 | 1.2e-2 |
|---|---|---|---|---|---|
| 2 x 48, 1,500 x 16 | 127 | 96.6 | | | |
| 2 x 48, 750 x 32 | 127 | | 95.3 | 94.8 | |
| 2 x 48, 1,000 x 16 | 85 | 94.7 | 94.0 | 95.6 | 93.3 |
| 2 x 32, 2,000 x 16 | 75 | | 97.5 | | |
| 2 x 32, 1,500 x 16, taken | 57 | | 96.1 | 95.6 | |
| 2 x 32, 1,250 x 16 | 47 | | | 95.1 | |
| 1 x 48, 1,500 x 16 | 64 | | 96.2 | | |
| 1 x 32, 2,000 x 16 | 38 | | | 97.8 | |
| 2 x 24, 2,000 x 16 | 42 | | | 96.8 | |
"""

from collections.abc import Callable

from ml_collections import config_dict

from launch.presets import demo

SEEDS = (0, 1, 2, 3, 4)
TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)


def _grid(config: config_dict.ConfigDict) -> None:
    cycles = ("full", "incremental", "balanced", "expanding", "subsample", "fresh")
    config.loop.generations = 50
    config.sweep.update(cycles=cycles, fresh_ratios=(0.0, 0.25, 0.5, 0.75), seeds=SEEDS)


def _long(config: config_dict.ConfigDict) -> None:
    config.loop.generations = 200
    config.sweep.update(fresh_ratios=(0.1, 0.25, 0.5, 0.75), seeds=SEEDS[:3])
    config.sweep.axes = (("sample.temperature", (0.8, 1.0)),)


def _along(field: str, values: tuple[float, ...]) -> Callable[[config_dict.ConfigDict], None]:
    def change(config: config_dict.ConfigDict) -> None:
        config.loop.generations = 20
        config.sweep.update(fresh_ratios=(0.0,), seeds=SEEDS, axes=((field, values),))

    return change


def _examples(config: config_dict.ConfigDict) -> None:
    _along("loop.num_examples", (500, 1_000, 2_000, 4_000, 8_000, 16_000))(config)
    config.loop.num_samples = 16_000  # the same for all: what is measured is equally precise


def _depth(config: config_dict.ConfigDict) -> None:
    _along("language.max_depth", (1, 2, 3))(config)
    config.model.context_length = 32


PARTS: dict[str, Callable[[config_dict.ConfigDict], None]] = {
    "grid": _grid,
    "long": _long,
    "temperature": _along("sample.temperature", TEMPERATURES),
    "examples": _examples,
    "first_pool": _along("loop.first_pool", (10, 30, 100, 300, 1_000, 4_000)),
    "depth": _depth,
    "width": _along("model.width", (16, 32, 48, 64, 96)),
}


def get_config(part: str) -> config_dict.ConfigDict:
    """One part of the study, by its name; with `-tiny` after it, in seconds."""
    name, _, scale = part.partition("-")
    if name not in PARTS or scale not in ("", "tiny"):
        raise ValueError(f"{part}: allowed are {', '.join(PARTS)}, each also with -tiny")
    config = demo.get_config()
    config.model.width = 32
    config.train.update(max_steps=1_500, eval_interval=375, learning_rate=6e-3)
    config.sample.temperature = 0.8
    PARTS[name](config)
    return _tiny(config) if scale else config


def _tiny(config: config_dict.ConfigDict) -> config_dict.ConfigDict:
    """Two seeds of the same cells, two values of an axis, three generations of models that learn next to nothing."""
    config.train.update(max_steps=20, warmup_steps=5, eval_interval=20, eval_batches=1)
    config.model.width = 16
    config.loop.update(generations=3, num_examples=100, num_samples=100, num_held_out=50)
    config.sweep.seeds = SEEDS[:2]
    axes = []
    for field, values in config.sweep.axes:
        low = {"loop.num_examples": (50, 100), "loop.first_pool": (10, 100)}.get(field)
        axes.append((field, low or (values[0], values[-1])))
    config.sweep.axes = tuple(axes)
    return config
