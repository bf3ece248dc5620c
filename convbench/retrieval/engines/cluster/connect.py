"""Reaching a Ray cluster, or saying in one line why it cannot be reached."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convbench.errors import ResourceError, UsageError
from convbench.retrieval.engines.cluster.head import GO_ON, RECONNECT, LostHeadError, fault_at

_SECONDS = 10.0
_START = "start one with `ray start --head --port=6379`, then on every other machine `ray start --address=HEAD:6379` (docs/cluster.md)"


def load_ray() -> Any:
    """The package.

    Raises:
        ResourceError: It is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ResourceError("--engine ray needs the package ray: pip install 'convbench[ray]'") from None
    return ray


def chosen_address(address: str | None) -> str:
    """The address that was given, else ``$RAY_ADDRESS``; for ``auto`` too, as Ray itself takes it.

    Raises:
        UsageError: There is none, or it is no address of a cluster that this process can be part of.
    """
    known = os.environ.get("RAY_ADDRESS", "").strip()
    found = (address or known).strip()
    found = known if found == "auto" and known else found
    if not found:
        raise UsageError(f"--engine ray: which cluster? Give --address HOST:PORT or auto, or set RAY_ADDRESS; {_START}")
    if found.startswith("ray://"):
        raise UsageError(
            f"--address {found}: a Ray Client connection keeps this process outside the cluster, where it cannot check what workers write; "
            "run the command on a node of the cluster with --address auto, or send it there with `ray job submit`"
        )
    host, colon, port = found.rpartition(":")
    if found != "auto" and not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"--address {found!r}: expected auto or HOST:PORT; {_START}")
    return found


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Joins a cluster as its driver for the block; one that this process had joined before is left joined.

    Args:
        address: From ``chosen_address``.

    Yields:
        The package.

    Raises:
        ResourceError: Ray is not installed, or nothing answers.
    """
    with _long_patience():
        ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    if address != "auto" and (fault := fault_at(address, _SECONDS)):
        raise ResourceError(f"--engine ray: {fault}; {_START}")
    try:
        with _own_signals(), _long_patience():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()
        raise ResourceError(f"--engine ray: no cluster at {address} ({reason[0] if reason else type(error).__name__}); {_START}") from error
    with _last_word():
        try:
            yield ray
        except LostHeadError:
            raise  # there is nothing to leave, and Ray would wait for it, for ever where a process is there and says nothing
        except BaseException:
            ray.shutdown()
            raise
        ray.shutdown()


@contextmanager
def _last_word() -> Iterator[None]:
    """Sees to it that there is a line where Ray ends this process without one: a shell waits until the block ends, or the process."""
    line = f"error: the command was ended from outside, or by Ray where its node is lost; {GO_ON}"
    shell = subprocess.Popen(  # noqa: S603 - the line is an argument, no part of the script
        ["/bin/sh", "-c", 'read -r _ || echo "$0" >&2', line], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        shell.communicate(b"done\n")


@contextmanager
def _own_signals() -> Iterator[None]:
    """Puts the handler of SIGTERM back that the block replaces: Ray's ends the process with a trace, and no note of the run is written."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _long_patience() -> Iterator[None]:
    """Keeps Ray, which reads this once, from ending the process when the head is lost: ``Head`` sees to that, so that a note is left."""
    before = os.environ.get(RECONNECT)
    os.environ[RECONNECT] = str(24 * 3600)
    try:
        yield
    finally:
        if before is None:
            del os.environ[RECONNECT]
        else:
            os.environ[RECONNECT] = before
