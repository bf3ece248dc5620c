"""A file server on the loopback whose faults are scripted, request by request, and which counts what it gave."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from loopback import dripped, serving


@dataclass
class Answer:
    """One answer. Without faults: the content, by range and validator as RFC 9110 says.

    Attributes:
        content: The file.
        status: Instead of 200 or 206: this, without the file.
        headers: More headers, or others.
        ranges: Whether ranges are honoured.
        etag: Its entity tag.
        modified: Its ``Last-Modified``.
        cut: Close the connection after so many bytes of the body.
        length: The length to announce; None: the true one; -1: none, the end of the connection ends the file.
        hang: Seconds of silence after the head and ``cut`` bytes.
        pace: Seconds after every 4 KiB.
        head_pace: Seconds after every byte of the head.
        redirect: Status 302, with the file as its body.
        blind: Ignore ``If-Range``: give the range of whatever the file is now.
        shift: Give a range that begins so many bytes later than the one asked for.
    """

    content: bytes = b""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    etag: str | None = None
    modified: str | None = None
    cut: int | None = None
    length: int | None = None
    hang: float = 0.0
    pace: float = 0.0
    head_pace: float = 0.0
    redirect: bool = False
    blind: bool = False
    shift: int = 0


@dataclass
class Asked:
    """A request, and how many bytes of a body it got."""

    path: str
    headers: dict[str, str]
    given: int = 0
    status: int = 0


class FileServer:
    """Path -> the answers to its requests in order; the last one stays."""

    def __init__(self) -> None:
        self.script: dict[str, list[Answer]] = {}
        self.asked: list[Asked] = []
        self.url = ""
        self.lock = threading.Lock()

    def next(self, path: str) -> Answer | None:
        with self.lock:
            answers = self.script.get(path.partition("?")[0], [])
            return answers.pop(0) if len(answers) > 1 else answers[0] if answers else None

    @property
    def given(self) -> int:
        return sum(each.given for each in self.asked)

    @property
    def ranges(self) -> list[str | None]:
        return [each.headers.get("range") for each in self.asked]


@contextlib.contextmanager
def file_server(certificate: Path | None = None) -> Iterator[FileServer]:
    """Starts a server; with a certificate (a file with its key too) it speaks TLS."""
    server = FileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
            server.asked.append(asked)
            with contextlib.suppress(OSError):  # the client may be gone
                self._answer(server.next(self.path) or Answer(status=404), asked)

        def _answer(self, answer: Answer, asked: Asked) -> None:
            status, body, head = self._content(answer, asked)
            asked.status = status
            self.send_response(status)
            if answer.length != -1:
                head["Content-Length"] = str(len(body) if answer.length is None else answer.length)
            else:
                self.close_connection = True
            for name, value in {"Content-Type": "application/octet-stream", **head, **answer.headers}.items():
                self.send_header(name, value)
            if answer.head_pace:
                dripped(self, answer.head_pace)
            self.end_headers()
            if self.command == "HEAD":
                return
            sent = body if answer.cut is None else body[: answer.cut]
            for start in range(0, len(sent), 4096):
                block = sent[start : start + 4096]
                asked.given += len(block)  # before it goes: the client may have read it before this thread counts on
                self.wfile.write(block)
                time.sleep(answer.pace)
            if answer.hang:
                self.wfile.flush()
                time.sleep(answer.hang)
            if answer.cut is not None or answer.length is not None:
                self.close_connection = True

        def _content(self, answer: Answer, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
            if answer.status is not None:
                return answer.status, b"", {}
            if answer.redirect:
                return 302, answer.content, {}
            head = {key: value for key, value in (("ETag", answer.etag), ("Last-Modified", answer.modified)) if value}
            wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
            condition = asked.headers.get("if-range")
            fresh = condition is None or answer.blind or condition in (answer.etag, answer.modified)
            if not wanted or not answer.ranges or not fresh:
                return 200, answer.content, head
            start, whole = int(wanted[1]) + answer.shift, len(answer.content)
            if start >= whole:
                return 416, b"", head | {"Content-Range": f"bytes */{whole}"}
            return 206, answer.content[start:], head | {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"}

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler, certificate) as server.url:
        yield server
