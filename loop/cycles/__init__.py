"""The data cycles, by name: a new one is a file and a line here."""

from loop.cycles.cycle import Cycle
from loop.cycles.fresh import Fresh
from loop.cycles.paper import Balanced, Expanding, Full, Incremental
from loop.cycles.rescue import Rescue
from loop.cycles.subsample import Subsample
from loop.cycles.window import Window

CYCLES: dict[str, Cycle] = {
    cycle.name: cycle
    for cycle in (Full(), Incremental(), Balanced(), Expanding(), Subsample(), Window(), Rescue(), Fresh())
}

CONTROLS: tuple[str, ...] = tuple(name for name, cycle in CYCLES.items() if cycle.is_control)

USUAL: tuple[str, ...] = ("full", "incremental", "balanced", "expanding", "subsample", "fresh")  # of a sweep
