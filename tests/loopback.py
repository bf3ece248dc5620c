"""A server on the loopback for as long as a block lasts."""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # else the client hung up: it waited for too long, or does not trust the certificate
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler], certificate: Path | None = None) -> Iterator[str]:
    """Serves on a free port, a thread a request; with a certificate (a file with its key too) over TLS. Gives the address."""
    http = _Server(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    http.block_on_close = False  # a request may still be hanging
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def dripped(handler: BaseHTTPRequestHandler, pace: float) -> None:
    """Sends what stands in the head so far a byte at a time."""
    head, handler._headers_buffer = b"".join(handler._headers_buffer), []  # type: ignore[attr-defined]
    for place in range(len(head)):
        handler.wfile.write(head[place : place + 1])
        time.sleep(pace)
