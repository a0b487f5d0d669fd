"""Expressions over p and q that are true in every row: does the loop stay correct, and which expressions survive?

    python -m launch.main --config=launch/presets/tautologies.py --workdir=runs/tautologies

Measured with five seeds (docs/results.md), from generation 0 to 7: correctness 81.0 to 95.0 % with φ = 0, 86.6 % with
0.5, 81.8 % in the control; diversity -50 %, -4 % and 0 %. It is not hard expressions that die out: depth 3 holds 72 %
of the samples at first and 99 % at last. What relates p to q is forgotten first, what negates one of them is not.

The five seeds took 22 minutes of one core, compilation included; two seeds on two idle cores should take 5 minutes.
"""

from ml_collections import config_dict

from launch.configuration import defaults


def get_config() -> config_dict.ConfigDict:
    """Eight generations; `full` with φ = 0, 0.5 and the control `fresh`; two seeds."""
    config = defaults()
    config.language.update(num_variables=2, max_depth=3)
    config.model.update(num_layers=2, num_heads=2, width=64, context_length=32, dropout=0.0, positions="rotary")
    config.train.update(batch_size=32, max_steps=800, warmup_steps=20, eval_interval=200, eval_batches=5)
    config.train.update(windows="aligned", learning_rate=3e-3, min_learning_rate=3e-5)
    config.sample.temperature = 0.8
    config.loop.update(generations=8, num_examples=4_000, num_samples=4_000)
    config.sweep.update(cycles=("full", "fresh"), fresh_ratios=(0.0, 0.5), seeds=(0, 1))
    return config
