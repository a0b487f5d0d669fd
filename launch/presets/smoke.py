"""Every part of the system in seconds, for tests; the models are too small to learn much.

python -m launch.main --config=launch/presets/smoke.py --workdir=runs/smoke
"""

from ml_collections import config_dict

from launch.configuration import defaults


def get_config() -> config_dict.ConfigDict:
    """Three generations of five small cells."""
    config = defaults()
    config.language.max_depth = 2
    config.model.update(num_layers=1, num_heads=2, width=16, context_length=16, dropout=0.0, positions="rotary")
    config.train.update(batch_size=16, max_steps=20, warmup_steps=5, eval_interval=10, eval_batches=2)
    config.train.update(learning_rate=1e-2, min_learning_rate=1e-3, windows="aligned")
    config.loop.update(generations=3, num_examples=64, num_samples=64, num_held_out=64)
    config.sweep.update(cycles=("full", "balanced", "fresh"), fresh_ratios=(0.0, 0.5), seeds=(0,))
    return config
