"""The interactive charts of the report: the library that draws them, what they look like, and which measures they know.

Charts are Vega-Lite specifications, drawn in the browser by report.js. Vega, Vega-Lite and Vega-Embed (0.9 MB) come as
one script out of the package vl-convert-python; Plotly's package has only its full script, of 4.8 MB.
"""

import base64
import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eval.measures.registry import in_reading_order, measures
from logic.language import Language
from loop.cell import KEYS
from loop.storage.atomic_files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

# The chart library and the page's own script.


class Script(NamedTuple):
    """A script's text, and its hash as a content security policy names it."""

    text: "Markup"
    source: str


def _script(text: str) -> Script:
    from markupsafe import Markup

    text = text.replace("\r\n", "\n").replace("</script", "<\\/script")  # in a string of the script: the same to it
    text = f"(() => {{\n{text}\n}})();"  # neither sees the other's names
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Script(Markup(text), f"'sha256-{digest}'")


def _remember(name: str, make: Callable[[], str]) -> str:
    """A text that takes long to make, kept in the user's cache for the next report; a damaged one is made again."""
    try:
        kept = Path.home() / ".cache" / "self-consuming-loop" / name
        digest, _, text = kept.read_bytes().decode().partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() == digest:
            return text
    except RuntimeError:  # no home directory
        return make()
    except (OSError, UnicodeError):
        pass
    text = make()
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return text


@functools.cache
def _library() -> Script:
    import vl_convert

    name = f"charts-{version('vl-convert-python')}.js"
    return _script(_remember(name, lambda: vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")))


def scripts() -> list[Script]:
    """The chart library and the page's own script; none if the library is not installed: then the page is still."""
    try:
        import vl_convert  # noqa: F401
    except ImportError:
        print("eval.report: no vl-convert-python here, so that the page is not interactive", file=sys.stderr)
        return []
    parts = (
        (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")
        for name in ("report_look.js", "report_curves.js", "report.js")
    )
    return [_library(), _script('"use strict";\n' + "\n".join(parts))]


def embedded(data: Any) -> "Markup":
    """JSON for a script element of type application/json: no text in it can end the element or begin another."""
    from markupsafe import Markup

    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")  # < > & occur in strings only
    return Markup(text)


# Measures and colours.


def numeric(table: "pd.DataFrame") -> "pd.DataFrame":
    """The measures among the columns of a metrics table, where they have any value."""
    import pandas as pd

    columns = table.columns.drop([*KEYS, "control", "correctness"], errors="ignore")
    return table[columns].apply(pd.to_numeric, errors="coerce").dropna(axis="columns", how="all")


def measures_of(tables: Iterable["pd.DataFrame"], languages: Iterable[Language]) -> list[dict[str, str]]:
    """The measures that the picker offers: every numeric column of the runs' metrics that has a value.

    `languages` are those of the runs: their measures have labels. Any other column comes last, under its own name.
    """
    there = dict.fromkeys(name for table in tables for name in numeric(table))
    ours = {m.name: m for language in languages for m in measures(language)}
    named = [(m.group, m.name, m.title) for m in in_reading_order(ours.values()) if m.name in there]
    named += [("Other", name, name.replace("_", " ")) for name in there if name not in ours]
    return [{"group": group, "name": name, "label": label} for group, name, label in named]


def colours(n: int) -> tuple[list[str], list[str]]:
    """Colours of n fresh ratios, for a light page (those of the static figures) and for a dark one."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    steps = np.arange(n) / max(n - 1, 1)
    shade = colormaps["viridis"]
    return [to_hex(shade(0.74 * x)) for x in steps], [to_hex(shade(0.97 - 0.6 * x)) for x in steps]


# The charts: report.js fills in data, titles, sizes and scales.

_GENERATION = {
    "field": "generation",
    "type": "quantitative",
    "title": "generation",
    "axis": {"tickMinStep": 1},
    "scale": {"nice": False},
}
_WHO = [  # formatted by report.js: Vega-Lite 6 looks for words in the wrong place where the nearest point is wanted
    {"field": field, "title": title, "type": "quantitative", "format": "", "formatType": "plain"}
    for field, title in {
        "run": "run",
        "cycle": "cycle",
        "line": "fresh data",
        "generation": "generation",
        "who": "seeds",
        "value": "value",
        "range": "smallest to largest",
        "seeds": "by seed",
    }.items()
]
_LINE = {
    "x": _GENERATION,
    "y": {"field": "value", "type": "quantitative"},
    "stroke": {"field": "line", "type": "nominal"},
    "strokeDash": {"field": "line", "type": "nominal"},
}
_COLOUR = {"field": "colour", "type": "nominal", "scale": None}  # without a scale of its own: the legend is of lines
_MEAN, _SEED = ({"filter": f"datum.kind == '{kind}'"} for kind in ("mean", "seed"))
MEASURE_CHART = {
    "data": {"name": "rows"},
    "facet": {"field": "panel", "type": "nominal", "title": None, "sort": None},
    "spacing": {"row": 26, "column": 26},
    "spec": {
        "height": 230,
        "layer": [
            {
                "transform": [_MEAN],
                "mark": {"type": "area", "opacity": 0.16},
                "encoding": {
                    "x": _GENERATION,
                    "y": {"field": "low", "type": "quantitative"},
                    "y2": {"field": "high"},
                    "fill": _COLOUR,
                },
            },
            {
                "transform": [_SEED],
                "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.55},
                "encoding": _LINE | {"detail": {"field": "who", "type": "nominal"}},
            },
            {"transform": [_MEAN], "mark": {"type": "line", "strokeWidth": 2.4}, "encoding": _LINE},
            {
                "params": [
                    {
                        "name": "near",
                        "select": {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout"},
                    }
                ],
                "mark": {"type": "point", "filled": True, "size": 70, "cursor": "pointer"},
                "encoding": {
                    "x": _LINE["x"],
                    "y": _LINE["y"],
                    "fill": _COLOUR,
                    "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
                    "tooltip": _WHO,
                },
            },
        ],
    },
}
_BAR = {"field": "bar", "type": "nominal", "sort": None}
HISTOGRAM = {
    "data": {"name": "rows"},
    "width": "container",
    "height": 190,
    "encoding": {
        "x": _BAR,
        "tooltip": [
            {"field": "bar", "type": "nominal"},
            {"field": "share", "type": "quantitative", "format": ".2~%", "title": "of the samples"},
            {"field": "truth", "type": "quantitative", "format": ".2~%", "title": "real distribution"},
        ],
    },
    "layer": [
        {
            "mark": {"type": "bar"},
            "encoding": {"y": {"field": "share", "type": "quantitative", "axis": {"format": "%"}, "title": None}},
        },
        {
            "transform": [{"filter": "datum.truth != null"}],
            "mark": {"type": "tick", "thickness": 2.5},
            "encoding": {"y": {"field": "truth", "type": "quantitative"}},
        },
    ],
}
DESCENT = {
    "data": {"name": "rows"},
    "width": "container",
    "height": 210,
    "params": [{"name": "now", "value": 0}],
    "mark": {"type": "bar", "cursor": "pointer"},
    "encoding": {
        "x": {"field": "generation", "type": "ordinal", "title": "generation", "axis": {"labelAngle": 0}},
        "y": {"field": "share", "type": "quantitative", "axis": {"format": "%"}, "title": None},
        "order": {"field": "place", "type": "quantitative"},
        "color": {"field": "colour", "type": "nominal", "scale": None},
        "opacity": {"condition": {"test": "datum.generation == now", "value": 1}, "value": 0.5},
        "tooltip": [
            {"field": "generation", "type": "ordinal", "title": "samples of generation"},
            {"field": "origin", "type": "nominal", "title": "first seen as"},
            {"field": "share", "type": "quantitative", "format": ".2~%"},
        ],
    },
}
CURVES = {
    "data": {"name": "rows"},
    "facet": {"field": "what", "type": "nominal", "title": None, "sort": None},
    "spacing": 26,
    "spec": {
        "height": 230,
        "mark": {"type": "line", "strokeWidth": 1.6, "point": {"size": 14}},
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "title": "optimiser steps"},
            "y": {
                "field": "loss",
                "type": "quantitative",
                "title": "nats per symbol",
                "scale": {"zero": False},
            },
            "color": {"field": "generation", "type": "quantitative", "title": "generation"},
            "detail": {"field": "generation", "type": "nominal"},
            "tooltip": [
                {"field": "generation", "type": "quantitative"},
                {"field": "step", "type": "quantitative"},
                {"field": "loss", "type": "quantitative", "format": ".4g"},
            ],
        },
    },
}
