"""Between two chunks of steps: what is saved before a run ends."""

import threading
from concurrent.futures import Future

import pytest

from loop.config import Config
from loop.generation import TrainingProgress
from loop.watch import Control, Stopped, Watch


@pytest.mark.parametrize(
    ("failed", "asked", "saved"),
    [
        (None, True, [(3, 5)]),
        (Stopped(), True, [(3, 5)]),  # while it was measured: that is taken up again, this training would be lost
        (OSError("disk full"), True, []),
        (OSError("disk full"), False, []),
    ],
)
def test_a_run_that_stops_saves_its_training_unless_the_generation_before_was_not_written(failed, asked, saved):
    states: list[tuple[int, int]] = []
    control = Control(stop=lambda: asked)
    watch = Watch(
        Config(), 0, lambda t, step, trees: states.append((t, step)), lambda: None, control, threading.Event()
    )
    watch.commit = Future()
    if failed is not None:
        watch.commit.set_exception(failed)
    with pytest.raises(OSError if isinstance(failed, OSError) else Stopped):
        watch.of(3)(TrainingProgress(step=5, loss=1.0, tokens=100, done=False), dict)
    assert states == saved
