"""Reports without pictures: most tests look at everything else, and drawing takes most of the time of a report.

Figures are made, with all that they show; they are neither laid out nor drawn.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

EMPTY = '<svg xmlns="http://www.w3.org/2000/svg"/>'


def leave_out(replace: Callable[[type, str, Callable[..., Any]], Any] = setattr) -> None:
    """For the rest of the process, or as long as `replace` does."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    replace(ConstrainedLayoutEngine, "execute", lambda self, figure: None)
    replace(FigureCanvasAgg, "print_png", lambda self, path, **_: Path(path).touch())
    replace(FigureCanvasSVG, "print_svg", lambda self, path, **_: Path(path).write_text(EMPTY))
