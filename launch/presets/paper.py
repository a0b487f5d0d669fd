"""The paper's settings (arXiv 2311.16822, section 4): full grid, five seeds where the paper has one.

    python -m launch.main --config=launch/presets/paper.py --workdir=runs/paper

105 cells of 10.6 M parameters, 50 generations: a matter of accelerators, not of a laptop. One cell alone:

    python -m launch.main --config=launch/presets/paper.py --workdir=runs/paper-full \\
        --config.sweep.cycles=full --config.sweep.fresh_ratios=0.0 --config.sweep.seeds=0

What comes out has not been measured at this size yet.
"""

from ml_collections import config_dict

from launch.configuration import defaults


def get_config() -> config_dict.ConfigDict:
    """GPT of 6 layers, 6 heads, width 384; nanoGPT's random windows and learned positions."""
    return defaults()
