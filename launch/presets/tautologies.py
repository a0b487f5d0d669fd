"""Expressions over p and q that are true in every row: does the loop stay correct, and which expressions survive?

    python -m launch.main --config=launch/presets/tautologies.py --workdir=runs/tautologies

Estimated, not measured: 7 minutes on two idle cores, from 20 s of one core (busy, compilation included) for each
cell and generation, of which there are 44. Measured: `full` with φ = 0 alone, seeds 0 and 1, from generation 0 to
7. Correctness goes both ways: 0.82 to 0.95 and 0.80 to 0.74; rows that are true 0.89 to 0.95, and 0.88 to 0.88. It
is not hard expressions that die out: depth 3 holds 72 % of the samples at first and more than 99 % at last, which
alone would have cost 5 and 6 points; at equal depth, correctness changed by +18 and 0 points. Diversity falls from
0.60 to 0.30 and 0.26, covered mass from 0.48 to 0.05 and 0.19. Of all subtrees p and q have 0.86 and 0.85 of their
real share at first, 0.29 and 0.25 at last, (p and q) 0.80 and 0.00, (p or q) 0.98 and 0.07; but (not p) 0.96 and
1.84, False 1.07 and 1.31. Two seeds decide nothing about means.
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
