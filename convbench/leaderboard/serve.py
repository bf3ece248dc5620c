"""Showing the site on this machine: loopback only, nothing outside the site's folder, nothing but reading."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from convbench.errors import MissingFileError, UsageError
from convbench.leaderboard.places import SITE
from convbench.leaderboard.site.environment import POLICY

HOST = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder. Links that lead out of it, and lists of what folders hold, are not served."""

    server_version, sys_version = "convbench", ""

    def send_head(self) -> BytesIO | BinaryIO | None:
        _, port = self.connection.getsockname()
        names = {f"{name}:{port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in names:  # a page elsewhere may have had its own name point here
            self.send_error(HTTPStatus.FORBIDDEN, "asked for by another name than this machine's")
            return None
        if not self._is_on_the_site():
            self.send_error(HTTPStatus.NOT_FOUND, "not on this site")
            return None
        return super().send_head()

    def _is_on_the_site(self) -> bool:
        try:
            path = Path(self.translate_path(self.path)).resolve()
        except (OSError, ValueError):  # what no path can be
            return False
        return path.is_relative_to(Path(self.directory).resolve()) and (not path.is_dir() or (path / "index.html").is_file())

    def end_headers(self) -> None:
        headers = {
            "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what is asked for is of no interest to who looks at the site."""


class _Server(ThreadingHTTPServer):
    """A server that makes nothing of a browser that no longer waits for its answer."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def site_server(root: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the site, which ``serve_forever`` runs.

    Args:
        root: A folder of leaderboards.
        port: Its port; 0 means any that is free (``server_address`` tells).

    Raises:
        MissingFileError: The site has not been built.
        UsageError: The port is taken, or not for users.
    """
    site = root / SITE
    if not (site / "index.html").is_file():
        raise MissingFileError(f"{site}: no site here; build it first: convbench leaderboard build --root {root}")
    try:
        return _Server((HOST, port), partial(_Handler, directory=str(site)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"port {port}: cannot be used ({reason}); choose another, or 0 for any that is free") from None


def serve(root: Path, port: int, started: Callable[[str], None]) -> None:
    """Serves the site until the process is interrupted.

    Args:
        root: A folder of leaderboards.
        port: The port; 0 means any that is free.
        started: Told the address as soon as it answers.

    Raises:
        MissingFileError: The site has not been built.
        UsageError: The port cannot be used.
    """
    with site_server(root, port) as server:
        started(f"http://{HOST}:{server.server_address[1]}/")
        server.serve_forever()
