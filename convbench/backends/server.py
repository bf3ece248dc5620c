"""The address of a server, and whether asking it needs the network."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from convbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server.

    Attributes:
        url: Its address, without a slash at the end.
        host: Host and port, for messages.
        is_local: Whether it is on this machine.
    """

    url: str
    host: str
    is_local: bool

    @classmethod
    def parse(cls, url: str) -> ServerAddress:
        """Reads an address.

        Raises:
            UsageError: It is no http address, or holds more than one should: a password must not get into messages and files.
        """
        if any(sign in url for sign in "@?#\\"):
            raise UsageError(
                "base_url: it holds a user name, a query or a fragment; give the bare address, such as http://localhost:8000/v1"
            )
        try:
            parts = urlsplit(url)
            name, _ = parts.hostname, parts.port
        except ValueError:
            parts, name = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not name:
            raise UsageError(f"base_url {url!r}: expected an address such as http://localhost:8000/v1")
        return cls(url.rstrip("/"), parts.netloc, _is_loopback(name))


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
