"""Ctrl-C and SIGTERM: the first stops a command cleanly, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes, as a shell gives them."""
_AGAIN_SECONDS = 0.05
STOPPED = "interrupted; finished work is kept, run the same command again to go on"


class Stopping:
    """Heeds the signals that ask a command to stop.

    The first is a ``KeyboardInterrupt`` wherever the command is; where that is the end of an object (``__del__``), Python drops every
    exception, and it is raised again a moment later. What is done then (a note is written, answers that are paid for are
    awaited) can take a while, so the second ends the process there and then, which loses no more than a kill does.

    Attributes:
        code: The exit code that tells of the signal: 130 or 143.
    """

    def __init__(self) -> None:
        self.code = INTERRUPTED
        self._process = os.getpid()
        self._asked = False
        self._shown = sys.unraisablehook

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Heeds the signals during the block, and after it where one came: the process is ending.

        A signal that the process was started to ignore (in the background of a shell) stays ignored; elsewhere than in the main thread,
        Python heeds none.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN)
        before = {number: signal.signal(number, self._stop) for number in wanted}
        self._shown, sys.unraisablehook = sys.unraisablehook, self._dropped
        try:
            yield
        finally:
            if not self._asked:
                sys.unraisablehook = self._shown
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a fork of this process: none of our words and files are its business
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.code = 128 + number
        if self._asked:
            with suppress(OSError, ValueError):  # nobody reads it any more
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{STOPPED}\n".encode())
            os._exit(self.code)
        self._asked = True
        raise KeyboardInterrupt

    def _dropped(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Asks again where the interrupt was dropped; anything else is shown as ever."""
        if unraisable.exc_type is KeyboardInterrupt and self._asked:
            self._asked = False
            threading.Timer(_AGAIN_SECONDS, os.kill, (self._process, self.code - 128)).start()
        else:
            self._shown(unraisable)
