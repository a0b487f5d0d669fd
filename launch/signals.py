"""SIGTERM and Ctrl-C: the run stops after the current chunk of steps; a second Ctrl-C ends the program at once.

SIGHUP, which a closed terminal or a lost connection sends, stops nothing.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable

AT_ONCE = 130  # exit status after a second Ctrl-C


class StopRequests:
    """Hears signals from now on; `__call__` says whether the run is to stop.

    A thread of its own hears them: Python's handlers wait until the main thread comes back from the device.
    """

    def __init__(self, say: Callable[[str], None]):
        self._event = threading.Event()
        self._say = say
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # what counts is that the number is written to the pipe
        signal.set_wakeup_fd(write)
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self) -> bool:
        return self._event.is_set()

    def _listen(self) -> None:
        while True:
            number = os.read(self._read, 1)[0]
            if number == signal.SIGINT and self._event.is_set():
                os._exit(AT_ONCE)  # nothing that is saved is lost: files appear whole or not at all
            if number in (signal.SIGTERM, signal.SIGINT) and not self._event.is_set():
                self._event.set()
                again = "; Ctrl-C again ends at once" if number == signal.SIGINT else ""
                self._tell(f"{signal.Signals(number).name}: stopping after this chunk of steps{again}")
            if number == signal.SIGHUP:
                self._tell("SIGHUP: the terminal has gone, the run goes on; SIGTERM stops it")

    def _tell(self, line: str) -> None:
        threading.Thread(target=self._try_to_say, args=(line,), daemon=True).start()  # its disk may hang

    def _try_to_say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # its disk may be full
            self._say(line)
