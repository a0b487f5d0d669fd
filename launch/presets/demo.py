"""The paper's findings on a laptop.

python -m launch.main --config=launch/presets/demo.py --workdir=runs/demo
"""

from ml_collections import config_dict

from launch.configuration import defaults


def get_config() -> config_dict.ConfigDict:
    """Eight generations; `full` with φ = 0, 0.25, 0.5 and the control `fresh`; two seeds."""
    config = defaults()
    config.language.max_depth = 3
    config.model.update(num_layers=2, num_heads=2, width=64, context_length=32, dropout=0.0, positions="rotary")
    config.train.update(batch_size=64, max_steps=400, warmup_steps=20, eval_interval=100, eval_batches=5)
    config.train.update(learning_rate=3e-3, min_learning_rate=3e-4, windows="aligned")
    config.sample.temperature = 0.6
    config.loop.update(generations=8, num_examples=1_000, num_samples=1_000)
    config.sweep.update(cycles=("full", "fresh"), fresh_ratios=(0.0, 0.25, 0.5), seeds=(0, 1))
    return config
