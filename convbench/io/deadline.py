"""An end to answers over HTTP that drip: each byte comes in time, and the whole never would.

The time-outs of httpx are for one read of the socket. None of them bounds a head that comes a byte at a time, hints that it will come
(status 103), the size of a chunk without an end, or a request that is taken a byte at a time.
"""

from __future__ import annotations

import importlib
import threading
import time
from typing import Any

_PIECE = 1 << 14
"""Bytes of a request that are written at once."""


class Deadline:
    """Bounds the reads and writes of a client's requests: each is given what is left of its thread's time.

    A request's time begins anew where it is sent, where the head of the answer is whole, and at ``renew``. What takes longer fails as the
    package's ``ReadTimeout`` or ``WriteTimeout``. Connecting has its own time-out.

    It works through the ``trace`` extension of requests, which hands out connections as they are opened, in httpx and in httpx2 (that later
    versions of the package openai use). It must live as long as the client: connections are used again.

    Args:
        seconds: From one beginning to the next.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._own = threading.local()  # of each thread, which has one request at a time

    def heed(self, request: Any) -> None:
        """For the client's ``event_hooks["request"]``."""
        request.extensions = {**request.extensions, "trace": self._trace}

    def renew(self) -> None:
        """Begins anew for this thread's request."""
        self._own.end = time.monotonic() + self._seconds

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith(("send_request_headers.started", "receive_response_headers.complete")):
            self.renew()
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._bound(info["return_value"])

    def _bound(self, stream: Any) -> None:
        read, write = stream.read, stream.write
        package = importlib.import_module(type(stream).__module__.partition(".")[0])  # whose errors its client knows

        def read_in_time(most: int, timeout: float | None = None) -> bytes:
            found: bytes = read(most, self._left(timeout, package.ReadTimeout))
            return found

        def write_in_time(content: bytes, timeout: float | None = None) -> None:
            for start in range(0, len(content), _PIECE):
                write(content[start : start + _PIECE], self._left(timeout, package.WriteTimeout))

        stream.read, stream.write = read_in_time, write_in_time

    def _left(self, timeout: float | None, error: type[Exception]) -> float | None:
        end: float | None = getattr(self._own, "end", None)
        if end is None:
            return timeout
        left = end - time.monotonic()
        if left <= 0:
            raise error(f"not whole after {self._seconds:g} s")
        return left if timeout is None else min(left, timeout)
