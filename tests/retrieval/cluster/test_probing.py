from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from convbench.errors import ResourceError
from convbench.retrieval.engines.cluster.connect import connected
from convbench.retrieval.engines.cluster.head import Head, LostHeadError, fault_at, is_refused

SETTINGS = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100])
ROOT = Path(__file__).parents[3]


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something that listens, and what it does with the first who comes; its address."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError), server.accept()[0] as connection:  # nobody comes, or goes before it is over
            answer(connection)
            over.wait(20)

    threading.Thread(target=serve, daemon=True).start()
    with server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
        over.set()


def says(*parts: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize("parts", [(SETTINGS,), (SETTINGS[:4], SETTINGS[4:])])
def test_a_grpc_server(parts: tuple[bytes, ...]) -> None:
    with listening(says(*parts)) as address:
        assert fault_at(address, 5) == ""


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (says(), "it does not answer"),
        (says(b"\x00\x00"), r"it says '\x00\x00'"),
        (says(b"-ERR unknown command 'PRI'\r\n"), "it says \"-ERR unknown command 'PRI'\""),
        (says(b"SSH-2.0-OpenSSH_9.6\r\nmore"), "it says 'SSH-2.0-OpenSSH_9.6'"),
        (says(b"\r\n\r\n\r\n\r\n\r\n"), "it says ''"),
        (says("HTTP/1.1 400 Grüße\r\n".encode()), r"it says 'HTTP/1.1 400 Gr\xc3\xbc\xc3\x9fe'"),
        (lambda connection: connection.shutdown(socket.SHUT_RDWR), "it closes the connection"),
    ],
)
def test_what_is_none(answer: Callable[[socket.socket], None], fault: str) -> None:
    begun = time.monotonic()
    with listening(answer) as address:
        assert fault_at(address, 0.4) == f"what listens at {address} is not the head of a Ray cluster: {fault}"
    assert time.monotonic() - begun < 5


def test_one_that_says_a_byte_at_a_time_does_not_hold_it_up() -> None:
    with listening(says(*[b"x"] * 100)) as address:
        begun = time.monotonic()
        assert "it says 'x" in fault_at(address, 0.3)
    assert time.monotonic() - begun < 3


def test_tls_is_not_greeted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USE_TLS", "1")
    with listening(says()) as address:
        assert fault_at(address, 0.2) == ""


def test_joining_what_is_no_cluster() -> None:
    pytest.importorskip("ray", reason="the engine on a cluster needs the package ray")
    with (
        listening(says(b"HTTP/1.1 505 no\r\n")) as address,
        pytest.raises(
            ResourceError, match=rf"--engine ray: what listens at {address} is not .* 'HTTP/1.1 505 no'; start one with `ray start"
        ),
        connected(address),
    ):
        pass


@pytest.mark.slow
def test_the_command_line_says_so_soon() -> None:
    """Nothing is ever said there: Ray itself would wait for minutes."""
    pytest.importorskip("ray", reason="the engine on a cluster needs the package ray")
    with listening(says()) as address:
        command = [
            sys.executable,
            "-c",
            "from convbench.cli.main import main; main()",
            "run",
            "bm25-query",
            "-d",
            "topiocqa",
            "--engine",
            "ray",
        ]
        begun = time.monotonic()
        done = subprocess.run([*command, "--address", address], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert time.monotonic() - begun < 40
    assert done.returncode == ResourceError.exit_code
    assert re.search(
        rf"^error: --engine ray: what listens at {address} is not the head .*: it does not answer; start", done.stderr, re.MULTILINE
    )


class TestHead:
    def test_one_that_is_there(self) -> None:
        with listening(says(SETTINGS)) as node, listening(says(SETTINGS)) as address:
            Head(address, node, 0).await_it()

    def test_it_is_gone(self) -> None:
        with socket.socket() as taken, listening(says()) as node:
            taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            assert is_refused(address)
            assert not is_refused(node)
            with pytest.raises(LostHeadError, match=rf"the head .* is lost: nothing answers at {address} .* 0 s long; finished"):
                Head(address, node, 0).look()
            Head(address, node, 60).look()
            with pytest.raises(LostHeadError, match=f"the Ray node of this process is lost: nothing answers at {address}"):
                Head(node, address, 60).look()

    def test_it_comes_again(self) -> None:
        with socket.socket() as later, listening(says()) as node:
            later.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{later.getsockname()[1]}"

            def serve() -> None:
                time.sleep(0.5)
                later.listen()
                with later.accept()[0] as connection:
                    connection.sendall(SETTINGS)
                    connection.recv(100)

            threading.Thread(target=serve, daemon=True).start()
            Head(address, node, 30).await_it()

    def test_the_environment_says_how_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "60")
        with socket.socket() as taken, listening(says()) as node:
            taken.bind(("127.0.0.1", 0))
            Head(f"127.0.0.1:{taken.getsockname()[1]}", node, 0).look()
