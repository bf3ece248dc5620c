"""A chat server, and a cache of the test's own: what it answered is asked for anew in each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backends.chat_server import ChatServer, chat_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
    with chat_server() as running:
        yield running
