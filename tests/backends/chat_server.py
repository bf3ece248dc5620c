"""A real HTTP server on this machine that answers /v1/chat/completions as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import dripped, serving


@dataclass
class Reply:
    """One HTTP answer; a ``dict`` body is sent as JSON. ``head_pace``: seconds after every byte of the head."""

    body: dict[str, Any] | bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    head_pace: float = 0.0


@dataclass
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def completion(text: str | None, finish_reason: str = "stop", **changes: Any) -> Reply:
    """What a server sends where all goes well."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
    document = {"id": "x", "object": "chat.completion", "created": 0, "model": "served", "choices": [choice], "usage": usage}
    return Reply(document | changes)


def refusal(status: int, message: str, code: str | None = None) -> Reply:
    """What it sends where it refuses; it asks to come back after a hundredth of a second."""
    return Reply({"error": {"message": message, "type": "error", "code": code}}, status, {"retry-after-ms": "10"})


class ChatServer:
    """The server: ``answer`` makes a reply of each request; ``asked`` holds what arrived."""

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Reply] = lambda _: completion("3")
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self.url = ""
        self._now = 0
        self._lock = threading.Lock()

    def handle(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            return self.answer(asked)
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A server on a free port, until the block ends."""
    server = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are used again

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = server.handle(Asked(self.path, {name.title(): value for name, value in self.headers.items()}, body))
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **reply.headers}.items():
                    self.send_header(name, value)
                if reply.head_pace:
                    dripped(self, reply.head_pace)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # the client has stopped waiting

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as address:
        server.url = f"{address}/v1"
        yield server
