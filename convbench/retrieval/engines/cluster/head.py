"""The head of a cluster: whether there is one at an address, and whether it is still there.

Ray itself tries for minutes where something else listens, and ends a process whose head is lost in the middle of whatever it does. So the
head is asked here, in the way that every gRPC server answers: it is greeted as HTTP/2 wants it, and says what its settings are.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from convbench.errors import ResourceError

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""HTTP/2's preface and an empty frame of settings (RFC 9113, 3.4)."""
_FRAME = 9
"""Bytes before what a frame holds: three of its length, its kind, its flags, four of its stream."""
_SETTINGS = 4
RECONNECT = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""Ray's name for how long a head may be away: clusters whose head starts again set it."""
_ASK_SECONDS = 2.0
GO_ON = "finished work is kept: start the cluster again, and the same command goes on"


def fault_at(address: str, seconds: float) -> str:
    """Why there is no head at an address; empty where a gRPC server answers.

    Args:
        address: ``host:port``.
        seconds: Until it must have answered.
    """
    host, _, port = address.rpartition(":")
    end = time.monotonic() + seconds
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), seconds)
    except OSError as error:
        return f"nothing answers at {address} ({error})"
    with connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return ""
        said = _said(connection, end)
    if len(said) >= _FRAME and said[3] == _SETTINGS and not any(said[5:_FRAME]):
        return ""
    if not said:
        why = "it does not answer" if time.monotonic() >= end else "it closes the connection"
    else:
        why = f"it says {repr(said.splitlines()[0][:60])[1:]}"
    return f"what listens at {address} is not the head of a Ray cluster: {why}"


def _said(connection: socket.socket, end: float) -> bytes:
    """What comes back, until it is enough to know it by."""
    said = b""
    try:
        connection.sendall(_GREETING)
        while len(said) < _FRAME and (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (more := connection.recv(1024)):
                break
            said += more
    except OSError:  # a timeout too
        pass
    return said


def is_refused(address: str) -> bool:
    """Whether the machine of an address says that nobody listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ASK_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


class LostHeadError(ResourceError):
    """What holds a cluster together is gone. Ray cannot be left in order then: its threads wait, or end the process in their own way."""


class Head:
    """The head of a cluster that was reached, and the node that this process belongs to.

    Args:
        address: The head's ``host:port``.
        node: That of the node's own process, without which Ray ends this one at the next opportunity.
        seconds: How long the head may be away; ``$RAY_gcs_rpc_server_reconnect_timeout_s`` goes before.
    """

    def __init__(self, address: str, node: str, seconds: float) -> None:
        given = os.environ.get(RECONNECT, "")
        self._address, self._node, self._seconds = address, node, float(given) if given.isdecimal() else seconds
        self._asked, self._away_since = -_ASK_SECONDS, 0.0

    @classmethod
    def of(cls, ray: Any, seconds: float) -> Head:
        """That of the cluster which this process has joined."""
        context = ray.get_runtime_context()
        mine = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
        return cls(context.gcs_address, f"{mine['NodeManagerAddress']}:{mine['NodeManagerPort']}", seconds)

    def look(self) -> None:
        """Asks from time to time.

        Raises:
            LostHeadError: The head has been away for too long, or the node is gone.
        """
        if time.monotonic() - self._asked >= _ASK_SECONDS:
            self._ask()

    def await_it(self) -> None:
        """Asks at once, and waits while the head is away.

        Raises:
            LostHeadError: The head has been away for too long, or the node is gone.
        """
        self._ask()
        while self._away_since:
            time.sleep(_ASK_SECONDS / 2)
            self._ask()

    def _ask(self) -> None:
        begun = time.monotonic()
        if is_refused(self._node):
            raise LostHeadError(f"the Ray node of this process is lost: nothing answers at {self._node}; {GO_ON}")
        fault = fault_at(self._address, _ASK_SECONDS)
        self._asked = time.monotonic()
        self._away_since = (self._away_since or begun) if fault else 0.0
        away = self._asked - self._away_since
        if fault and away >= self._seconds:
            raise LostHeadError(f"the head of the Ray cluster is lost: {fault}, {away:.0f} s long; {GO_ON}")
