"""Every remedy with its defaults against none, where none collapses.

    python -m launch.main --config=launch/presets/remedies.py --workdir=runs/remedies

The setting is the demo's, smaller: temperature 0.6, under which the cells without a remedy lose their diversity. Models
write twice as many samples as a block takes, so that remedies have something to choose from. The same at temperature 1,
where the sampler takes nothing away: --config.sample.temperature=1.0.

Measured with five seeds (docs/remedies.md), `full` without fresh data: diversity falls by 84 % without a remedy, by 7 %
and 12 % with `guided` and `negative`, whose samples stay 97 % and 99.8 % correct, by 18 % with the learnt detector; a
perfect verifier alone changes nothing. Five seeds took 41 minutes of one core, so three take about 13 on two idle ones.
"""

from ml_collections import config_dict

from launch.presets import demo

REMEDIES = (
    "none",
    "verified",
    "unique",
    "verified|unique",
    "depth_quota",
    "surplexity",
    "entropy_rate",
    "detector",
    "detector(oracle=True)",
    "golden",
    "truncated",
    "focal",
    "negative",
    "guided",
    "sampled",
    "edit",
)


def get_config() -> config_dict.ConfigDict:
    """Six generations; `full` with φ = 0 and 0.25, `expanding` and the control; 15 remedies and none; three seeds."""
    config = demo.get_config()
    config.train.update(max_steps=400, eval_interval=100)
    config.loop.update(generations=6, num_examples=1_500, num_samples=3_000)
    config.sweep.update(cycles=("full", "expanding", "fresh"), fresh_ratios=(0.0, 0.25), seeds=(0, 1, 2))
    config.sweep.update(learners=("transformer",), remedies=REMEDIES)
    return config
