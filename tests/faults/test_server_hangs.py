"""Servers that take a request and give no whole answer: a time-out, tries, one line that says what to do, and what came is kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from backends.chat_server import completion
from command_line import convbench, succeed
from loopback import serving

from convbench.datasets.download.fetch import fetch
from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.places import Places
from convbench.datasets.download.waiting import Patience
from convbench.errors import ResourceError

FAULTS = ("silent", "head", "drip", "head-drip", "hints", "chunk-size", "trailer")
TIMEOUT = 0.4


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: TYPE\r\nTransfer-Encoding: chunked\r\n"
_ENDLESS = {
    "head-drip": (_HEAD + b"X-Wait: ", b"."),
    "hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "chunk-size": (_HEAD + b"\r\n7d0;", b"."),
    "trailer": (_HEAD + b"\r\nCONTENT\r\n0\r\nX-Wait: ", b"."),
}
"""What comes first, and what comes now and then after it."""


class Hanging:
    """A server on the loopback; after so many whole answers it only gives a part of one.

    Attributes:
        fault: ``silent``: nothing at all; ``head``: the head and no more; the others a byte now and then, each of them in time: ``drip`` of
            the content, ``head-drip`` of a head that does not end, ``hints`` that there will be a head, ``chunk-size`` of what should
            announce a piece of the content, ``trailer`` of what follows all of it.
        good: Whole answers that are left.
        asked: Requests that came.
    """

    def __init__(self) -> None:
        self.fault, self.good, self.asked, self.url = "silent", 10**9, 0, ""
        self.content = b"x" * 2000
        self._lock, self._over = threading.Lock(), threading.Event()

    def answer(self, handler: BaseHTTPRequestHandler, content: bytes, kind: str) -> None:
        with self._lock:
            self.asked += 1
            self.good -= 1
            whole = self.good >= 0
        if not whole and self.fault == "silent":
            self._over.wait(60)
            return
        if not whole and self.fault in _ENDLESS:
            begun, repeated = _ENDLESS[self.fault]
            handler.wfile.write(begun.replace(b"TYPE", kind.encode()).replace(b"CONTENT", b"%x\r\n%s" % (len(content), content)))
            for _ in range(600):  # a minute
                if self._over.wait(TIMEOUT / 4):
                    return
                handler.wfile.write(repeated)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if whole:
            handler.wfile.write(content)
        elif self.fault == "head":
            handler.wfile.flush()
            self._over.wait(60)
        else:
            for place in range(len(content)):
                handler.wfile.write(content[place : place + 1])
                handler.wfile.flush()
                if self._over.wait(TIMEOUT / 4):
                    return

    def end(self) -> None:
        self._over.set()


@pytest.fixture
def server() -> Iterator[Hanging]:
    hanging = Hanging()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
            text = "3" if "judge" in body["model"] else f"It was {said[:8]}."
            reply: Any = completion(text).body
            with contextlib.suppress(OSError):  # the client has stopped waiting
                hanging.answer(self, json.dumps(reply).encode(), "application/json")

        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                hanging.answer(self, hanging.content, "application/octet-stream")

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as hanging.url:
        yield hanging
        hanging.end()


def settings(prefix: str, **values: object) -> list[object]:
    option = "--metric-set" if prefix == "judge" else "--set"
    return [part for name, value in values.items() for part in (option, f"{prefix}.{name}={value}")]


def same_every_time(folder: Path) -> dict[str, Any]:
    """What a run gives, but for what it cost: how many answers were asked for depends on what was kept."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    files = {name: (folder / name).read_bytes() for name in ("turns.jsonl", "retrieval.trec", "scores.jsonl")}
    return files | {"results": {name: value for name, value in results.items() if name not in ("cost", "check")}}


@pytest.mark.parametrize(
    "fault", [fault if fault in ("silent", "drip") else pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS]
)
def test_one_that_responds(server: Hanging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    model = {"base_url": f"{server.url}/v1", "parallel": 1, "retries": 1, "timeout": TIMEOUT}
    arguments = (
        "run",
        "bm25-server",
        "-d",
        "topiocqa",
        "--limit",
        1,
        "--metrics",
        "token-f1",
        "--offline",
        *settings("generator.model", **model),
    )
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "whole-cache"))
    succeed(*arguments, "--out", tmp_path / "whole")
    needed, server.asked = server.asked, 0
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
    server.fault, server.good = fault, 2
    began = time.monotonic()
    refused = convbench("--quiet", *arguments, "--out", tmp_path / "run")
    assert time.monotonic() - began < 30
    assert refused.code == 5
    host = server.url.removeprefix("http://")
    advice = "is it overloaded? answers that came are kept, the same command goes on from there"
    assert refused.error == f"{host}: no answer within {TIMEOUT} s (tries: 2); {advice}"
    assert server.asked == 2 + 2
    server.asked, server.good = 0, 10**9
    succeed(*arguments, "--out", tmp_path / "run")
    assert server.asked == needed - 2, "an answer that came was asked for again"
    assert same_every_time(tmp_path / "run") == same_every_time(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_judge(server: Hanging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """The other scores are written; the same command asks for the rest."""
    judge = {"model": "judge-1", "base_url": f"{server.url}/v1", "parallel": 1, "retries": 0, "timeout": TIMEOUT, "samples": 2}
    arguments = ("run", "oracle", "-d", "topiocqa", "--limit", 1, "--metrics", "token-f1,judge", "--offline", *settings("judge", **judge))
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "whole-cache"))
    succeed(*arguments, "--out", tmp_path / "whole")
    needed = server.asked
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
    server.fault, server.good = fault, 3
    found = succeed("--quiet", *arguments, "--out", tmp_path / "run")
    (line,) = [line for line in found.err.splitlines() if "judge was not computed" in line]
    assert f"no answer within {TIMEOUT} s (tries: 1)" in line
    assert line.endswith("run the same command again to go on")
    scores = (tmp_path / "run" / "scores.jsonl").read_text(encoding="utf-8")
    assert "F1-max" in scores
    assert "judge-mean" not in scores
    server.asked, server.good = 0, 10**9
    succeed(*arguments, "--out", tmp_path / "run")
    assert server.asked == needed - 3
    assert same_every_time(tmp_path / "run") == same_every_time(tmp_path / "whole")


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=pytest.mark.slow) if fault in ("hints", "chunk-size", "trailer") else fault for fault in FAULTS]
)
def test_one_that_files_come_from(server: Hanging, tmp_path: Path, fault: str) -> None:
    server.fault, server.good = fault, 0
    given = {"name": "file.bin", "part": "turns", "urls": [f"{server.url}/f"], "sha256": hashlib.sha256(server.content).hexdigest()}
    file, places = DownloadFile.model_validate(given), Places.of("some", tmp_path)
    patience = Patience(read=TIMEOUT, attempts=2, first=0.01, slowest=1000)
    began = time.monotonic()
    with pytest.raises(ResourceError) as raised:
        fetch(file, places, patience)
    assert time.monotonic() - began < 10
    reason = "it gives less than 1,000 bytes a second" if fault == "drip" else "no answer in time"
    assert f"{server.url}/f: {reason}" in str(raised.value)
    assert str(raised.value).endswith(f"put a copy here: {places.file('file.bin')}")
    kept = places.part("file.bin").stat().st_size if places.part("file.bin").exists() else 0
    assert (kept > 0) == (fault in ("drip", "trailer"))
    server.good = 10**9
    fetch(file, places, patience)
    assert places.file("file.bin").read_bytes() == server.content
