"""How the figures look: the same on every machine, and readable without colour."""

from typing import Any

import matplotlib as mpl

CONTROL = {"color": "0.4", "linestyle": (0, (4, 2)), "marker": ""}
LINES = ("-", (0, (5, 1.5)), (0, (3, 1.2, 1, 1.2)), (0, (1, 1.2)), (0, (7, 1.5, 1, 1.5, 1, 1.5)))
MARKERS = "osD^vP*X"
STYLE: dict[Any, Any] = {
    **mpl.rcParamsDefault,  # whatever the user's matplotlibrc says
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.3",
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "lines.linewidth": 1.9,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "svg.hashsalt": "self-consuming-loop",  # ids are random without it
    "savefig.facecolor": "white",
}
