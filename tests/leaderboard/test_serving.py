"""The local server: this machine only, the site only, reading only."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from threading import Thread

import pytest
from boards import write_root

from convbench.errors import MissingFileError, UsageError
from convbench.leaderboard.build import build
from convbench.leaderboard.serve import site_server


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[object, int]]:
    root = write_root(tmp_path_factory.mktemp("served") / "boards")
    build(root)
    (root / "secret.txt").write_text("secret", encoding="utf-8")
    (root / "site" / "out.txt").symlink_to(root / "secret.txt")
    with site_server(root) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield root, server.server_address[1]
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/index.html", "/track/harbour-sample.html", "/assets/site.js", "/index.json"])
def test_the_site_is_served_with_a_policy(served, path):
    answer, body = ask(served[1], path)
    assert answer.status == 200
    assert body
    assert "frame-ancestors 'none'" in (answer.getheader("Content-Security-Policy") or "")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/track/..%2f..%2fsecret.txt",
        "//etc/passwd",
        "/out.txt",
        "/track/",
        "/assets",
        "/gone.html",
        "/%00",
    ],
)
def test_nothing_else_is(served, path):
    answer, body = ask(served[1], path)
    assert answer.status in (400, 404)
    assert b"secret" not in body.replace(b"secret.txt", b"")
    assert b"root:" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_there_is_only_reading(served, method):
    assert ask(served[1], "/index.html", method)[0].status == 501


def test_another_name_is_refused(served):
    assert ask(served[1], "/", host="rebound.example.org")[0].status == 403
    assert ask(served[1], "/", host=f"localhost:{served[1]}")[0].status == 200


def test_it_listens_on_loopback_only(served):
    with site_server(served[0]) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_site_built_meanwhile_is_what_is_shown(served):
    root, port = served
    (root / "harbour-sample" / "track.yaml").write_text(
        (root / "harbour-sample" / "track.yaml").read_text(encoding="utf-8").replace("Harbour talks, sample", "Renamed talks"),
        encoding="utf-8",
    )
    build(root)
    assert b"Renamed talks" in ask(port, "/")[1]


def test_what_cannot_be_served_is_told(served, tmp_path):
    with pytest.raises(MissingFileError, match="build it first"):
        site_server(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot be used"):
            site_server(served[0], taken.getsockname()[1])
    with pytest.raises(UsageError, match="cannot be used"):
        site_server(served[0], 70_000)
