from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backends.chat_server import Asked, ChatServer, Reply, chat_server, completion, refusal

from convbench.backends.chat import ChatAnswer, ChatClient, ChatConfig, ChatRequest
from convbench.errors import ResourceError, StorageError, UsageError

pytest.importorskip("openai", reason="the extra 'judge' brings the package openai")

KEY = "sk-very-secret-0123456789"
QUESTION = ChatRequest((("system", "grade"), ("user", "the text")))


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def client(server: ChatServer, cache: Path, *, offline: bool = False, **settings: Any) -> ChatClient:
    config = ChatConfig(**{"model": "judge-1", "base_url": server.url, "timeout": 5.0, "retries": 2, **settings})
    return ChatClient(config, offline=offline, cache=cache)


def numbered(count: int) -> list[ChatRequest]:
    return [ChatRequest((("user", f"text {number}"),)) for number in range(count)]


def text_of(asked: Asked) -> str:
    return str(asked.body["messages"][-1]["content"])


def error_of(chat: ChatClient, requests: list[ChatRequest] | None = None) -> str:
    with pytest.raises(ResourceError) as caught:
        chat.answers(requests or [QUESTION])
    message = str(caught.value)
    assert "\n" not in message
    assert KEY not in message
    assert KEY not in repr(caught.value.__cause__)
    return message


def test_what_is_sent_and_what_comes_back(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda _: completion("fine", "length")
    answer = client(server, tmp_path, temperature=0.5, max_tokens=9, seed=40).answers([ChatRequest(QUESTION.messages, sample=2)])
    assert answer == [ChatAnswer(text="fine", finish_reason="length", tokens_in=100, tokens_out=7)]
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    messages = [{"role": "system", "content": "grade"}, {"role": "user", "content": "the text"}]
    assert asked.body == {"model": "judge-1", "messages": messages, "temperature": 0.5, "max_tokens": 9, "seed": 42}


def test_what_some_servers_want_otherwise(server: ChatServer, tmp_path: Path) -> None:
    client(server, tmp_path, seed=None, limit_field="max_completion_tokens", max_tokens=9).answers([QUESTION])
    assert server.asked[0].body.keys() == {"model", "messages", "temperature", "max_completion_tokens"}


def test_answers_keep_the_order_of_the_requests_however_they_arrive(server: ChatServer, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        time.sleep(0.05 if text_of(asked).endswith(("0", "3")) else 0)
        return completion(text_of(asked).upper())

    server.answer = answer
    assert [found.text for found in client(server, tmp_path).answers(numbered(8))] == [f"TEXT {number}" for number in range(8)]


def test_no_more_requests_at_once_than_allowed(server: ChatServer, tmp_path: Path) -> None:
    def answer(_: Asked) -> Reply:
        time.sleep(0.03)
        return completion("3")

    server.answer = answer
    client(server, tmp_path, parallel=3).answers(numbered(12))
    assert len(server.asked) == 12
    assert 1 < server.most_at_once <= 3


def test_nothing_is_asked_for_twice(server: ChatServer, tmp_path: Path) -> None:
    first = client(server, tmp_path).answers([QUESTION, *numbered(3), QUESTION])
    assert len(server.asked) == 4
    assert client(server, tmp_path).answers([QUESTION, *numbered(3), QUESTION]) == first
    assert len(server.asked) == 4
    assert client(server, tmp_path).answers([]) == []


@pytest.mark.parametrize("change", [{"model": "judge-2"}, {"temperature": 0.1}, {"max_tokens": 9}, {"seed": 7}, {"seed": None}])
def test_another_setting_is_another_question(server: ChatServer, tmp_path: Path, change: dict[str, Any]) -> None:
    client(server, tmp_path).answers([QUESTION])
    client(server, tmp_path, **change).answers([QUESTION])
    assert len(server.asked) == 2


def test_so_are_another_sample_another_text_and_another_server(server: ChatServer, tmp_path: Path) -> None:
    other_role = ChatRequest((("system", "grade"), ("assistant", "the text")))
    client(server, tmp_path).answers([QUESTION, ChatRequest(QUESTION.messages, sample=1), other_role])
    assert len(server.asked) == 3
    with chat_server() as another:
        client(another, tmp_path).answers([QUESTION])
        assert len(another.asked) == 1


def test_settings_that_change_no_answer_keep_the_cache(server: ChatServer, tmp_path: Path) -> None:
    client(server, tmp_path).answers([QUESTION])
    client(server, tmp_path, timeout=9.0, retries=0, parallel=1).answers([QUESTION])
    assert len(server.asked) == 1


def test_a_damaged_answer_is_asked_for_again(server: ChatServer, tmp_path: Path) -> None:
    client(server, tmp_path).answers([QUESTION])
    (kept,) = tmp_path.rglob("*.json")
    for damage in ("{", "[]", '{"text": 3}', '{"text": "3", "surprise": 1}'):
        kept.write_text(damage, encoding="utf-8")
        assert client(server, tmp_path).answers([QUESTION])[0].text == "3"
    assert len(server.asked) == 5


def test_answers_lie_in_convbenchs_cache_by_default(server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path))
    ChatClient(ChatConfig(model="judge-1", base_url=server.url)).answers([QUESTION])
    (kept,) = (tmp_path / "chat").rglob("*.json")
    assert json.loads(kept.read_text(encoding="utf-8"))["text"] == "3"


def test_a_cache_that_cannot_be_written_to_is_an_error(server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        client(server, tmp_path / "file").answers([QUESTION])


def test_too_many_requests_and_server_errors_are_tried_again(server: ChatServer, tmp_path: Path) -> None:
    replies = iter([refusal(429, "slow down"), refusal(503, "busy"), completion("4")])
    server.answer = lambda _: next(replies)
    assert client(server, tmp_path).answers([QUESTION])[0].text == "4"
    assert len(server.asked) == 3


def test_a_server_that_hangs_is_given_up_and_what_came_is_kept(server: ChatServer, tmp_path: Path) -> None:
    released = threading.Event()

    def answer(asked: Asked) -> Reply:
        if text_of(asked) == "text 2" and not released.is_set():
            released.wait(10)
        return completion("3")

    server.answer = answer
    message = error_of(client(server, tmp_path, timeout=0.3, retries=1, parallel=1), numbered(4))
    assert message.startswith(server.url.split("/")[2])
    assert "no answer within 0.3 s (tries: 2)" in message
    assert "the same command goes on from there" in message
    assert [text_of(asked) for asked in server.asked] == ["text 0", "text 1", "text 2", "text 2"]
    released.set()
    server.asked.clear()
    assert len(client(server, tmp_path, parallel=1).answers(numbered(4))) == 4
    assert [text_of(asked) for asked in server.asked] == ["text 2", "text 3"]


def test_a_time_out_is_tried_again(server: ChatServer, tmp_path: Path) -> None:
    def answer(_: Asked) -> Reply:
        if len(server.asked) == 1:
            time.sleep(1)
        return completion("5")

    server.answer = answer
    assert client(server, tmp_path, timeout=0.3).answers([QUESTION])[0].text == "5"


def test_a_head_that_drips_is_a_time_out(server: ChatServer, tmp_path: Path) -> None:
    """Over the connection of an answer that was whole, and over a new one."""
    server.answer = lambda asked: replace(completion("5"), head_pace=0.02 if text_of(asked) == "text 1" else 0.0)
    began = time.monotonic()
    message = error_of(client(server, tmp_path, timeout=0.3, retries=1, parallel=1), numbered(3))
    assert time.monotonic() - began < 5
    assert "no answer within 0.3 s (tries: 2)" in message
    assert [text_of(asked) for asked in server.asked] == ["text 0", "text 1", "text 1"]


def test_heads_that_drip_at_once_and_are_whole_in_time(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda asked: replace(completion(text_of(asked)), head_pace=0.0005)
    found = client(server, tmp_path, timeout=5.0, retries=0, parallel=4).answers(numbered(8))
    assert [answer.text for answer in found] == [f"text {number}" for number in range(8)]


@pytest.mark.slow
def test_a_server_that_takes_a_request_piece_by_piece(tmp_path: Path) -> None:
    """Each piece in time; all of it would take it fifteen seconds."""
    taken: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)

        def read() -> None:
            with contextlib.suppress(OSError), listening.accept()[0] as connection:
                while connection.recv(1 << 17):
                    taken.append(time.monotonic())
                    time.sleep(0.05)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        chat = ChatClient(ChatConfig(model="judge-1", base_url=url, timeout=2.0, retries=0), cache=tmp_path)
        assert "no answer within 2 s" in error_of(chat, [ChatRequest((("user", "word " * 8_000_000),))])
        ended = time.monotonic()
        thread.join()
    assert len(taken) > 10
    assert ended - taken[0] < 6


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (refusal(429, f"quota of {KEY} used up"), "HTTP 429 (tries: 1): quota of *** used up; wait, or lower 'parallel'"),
        (refusal(500, "broken"), "HTTP 500 (tries: 1): broken"),
        (refusal(401, f"Incorrect API key provided: {KEY}"), "refuses the key (HTTP 401); put a valid one into the environment variable"),
        (refusal(403, "no"), "refuses the key (HTTP 403)"),
        (refusal(404, "no model judge-1"), "refuses the request (HTTP 404: no model judge-1); change the model or its settings"),
        (refusal(400, f"unknown field seed ({KEY})"), "refuses the request (HTTP 400"),
        (Reply({}, 302, {"Location": "http://192.0.2.1/v1/chat/completions"}), "HTTP 302"),
        (Reply(b"<html>hello</html>", 200, {"Content-Type": "text/html"}), "no chat completion"),
        (Reply(b"{", 200), "no chat completion"),
        (Reply(b"[" * 100_000, 200), "no chat completion"),
        (Reply({"choices": []}), "no chat completion"),
        (completion([{"type": "text"}]), "no chat completion"),  # type: ignore[arg-type]
    ],
)
def test_what_would_fail_for_every_text_stops(server: ChatServer, tmp_path: Path, reply: Reply, found: str) -> None:
    server.answer = lambda _: reply
    assert found in error_of(client(server, tmp_path, retries=0))
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    "reply",
    [
        refusal(400, "too many tokens", "context_length_exceeded"),
        refusal(400, "This model's maximum context length is 4096 tokens"),
        refusal(422, "filtered", "content_filter"),
        refusal(413, "Payload Too Large"),
    ],
)
def test_what_is_wrong_with_one_text_is_said_of_that_text_and_not_kept(server: ChatServer, tmp_path: Path, reply: Reply) -> None:
    server.answer = lambda asked: reply if text_of(asked) == "text 1" else completion("3")
    answers = client(server, tmp_path).answers(numbered(3))
    assert [answer.text for answer in answers] == ["3", "", "3"]
    assert answers[1].failure is not None
    assert answers[1].failure.startswith("the server does not take this text: ")
    assert len(list(tmp_path.rglob("*.json"))) == 2


@pytest.mark.parametrize("content", [None, "", "half a \ud83d character"])
def test_odd_answers_are_answers(server: ChatServer, tmp_path: Path, content: str | None) -> None:
    server.answer = lambda _: completion(content, usage=None)
    (answer,) = client(server, tmp_path).answers([QUESTION])
    assert answer == ChatAnswer(text=(content or "").replace("\ud83d", "?"), finish_reason="stop")
    assert client(server, tmp_path).answers([QUESTION]) == [answer]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with chat_server() as gone:
        pass
    assert "cannot be reached (tries: 1); is it running?" in error_of(client(gone, tmp_path, retries=0))


def test_the_key_comes_from_the_variable_named(server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " other \n")
    client(server, tmp_path, api_key_env="MY_KEY").answers([QUESTION])
    assert server.asked[0].headers["Authorization"] == "Bearer other"
    assert "MY_KEY" not in "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.json"))


def test_the_key_is_written_nowhere(server: ChatServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client(server, tmp_path).answers([QUESTION])
    assert "0 answers from the cache, 1 asked for: 100 tokens in, 7 out" in caplog.text
    assert KEY not in caplog.text
    assert all(KEY not in path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in repr(client(server, tmp_path).config)


def test_a_key_is_needed_except_on_this_machine(server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert client(server, tmp_path).answers([QUESTION])[0].text == "3"
    with pytest.raises(ResourceError, match=r"judge\.example: no key: put it into the environment variable JUDGE_KEY"):
        client(server, tmp_path, base_url="https://judge.example/v1", api_key_env="JUDGE_KEY").check()
    with pytest.raises(ResourceError, match=r"api\.openai\.com: no key"):
        ChatClient(ChatConfig(model="judge-1")).check()


def test_the_key_for_openai_goes_to_no_server_that_a_configuration_names(server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"judge\.example: no key: name the environment variable that holds its key as api_key_env"):
        client(server, tmp_path, base_url="https://judge.example/v1").check()
    client(server, tmp_path, base_url="https://api.openai.com/v1").check()


@pytest.mark.parametrize("key", ["sk-\N{LATIN SMALL LETTER E WITH ACUTE}", "sk-1\nX-Other: 2", "\x00sk"])
def test_a_key_that_no_header_can_hold_is_refused(server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "OPENAI_API_KEY": key})
    with pytest.raises(ResourceError, match="has characters that no key has") as caught:
        client(server, tmp_path).check()
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://judge.example/v1",
        "http://10.0.0.1/v1",
        "http://localhost.judge.example/v1",
        "http://2130706433/v1",
        "http://0.0.0.0/v1",
    ],
)
def test_offline_refuses_every_server_elsewhere(server: ChatServer, tmp_path: Path, url: str) -> None:
    with pytest.raises(ResourceError, match="is not on this machine and --offline forbids asking it"):
        client(server, tmp_path, offline=True, base_url=url).check()
    client(server, tmp_path, base_url=url, api_key_env="OPENAI_API_KEY").check()


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://127.1.2.3/v1", "http://[::1]:1/v1/"])
def test_offline_asks_this_machine(tmp_path: Path, url: str) -> None:
    ChatClient(ChatConfig(model="judge-1", base_url=url), offline=True, cache=tmp_path).check()


def test_offline_goes_through_with_a_server_here(server: ChatServer, tmp_path: Path) -> None:
    assert client(server, tmp_path, offline=True).answers([QUESTION])[0].text == "3"


def test_a_proxy_is_not_asked_for_this_machine(server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert client(server, tmp_path, retries=0).answers([QUESTION])[0].text == "3"


def test_the_address_comes_from_the_setting_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:7/v1/")
    assert ChatClient(ChatConfig(model="m")).server.url == "http://localhost:7/v1"
    assert ChatClient(ChatConfig(model="m", base_url="http://localhost:8/v1")).server.url == "http://localhost:8/v1"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://localhost/v1",
        "http://",
        "http://localhost:port/v1",
        "http://[::1/v1",
        "https://user:hunter2@judge.example/v1",
        "https://judge.example\\@127.0.0.1/v1",
        "https://judge.example/v1?key=hunter2",
        "https://judge.example/v1#x",
    ],
)
def test_addresses_that_are_none_or_hold_a_secret_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="base_url") as caught:
        ChatClient(ChatConfig(model="m", base_url=url)).check()
    assert "hunter2" not in str(caught.value)


def test_without_the_package_the_command_to_install_it_is_given(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ResourceError, match=r"needs the package openai: pip install 'convbench\[judge\]'"):
        client(server, tmp_path).check()


def test_importing_the_module_does_not_import_the_package() -> None:
    code = "import sys, convbench.backends.chat; print('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.slow
def test_a_killed_process_goes_on_where_it_was(server: ChatServer, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from convbench.backends.chat import *\n"
        f"config = ChatConfig(model='judge-1', base_url={server.url!r}, timeout=5.0, parallel=2)\n"
        f"client = ChatClient(config, cache=Path({str(tmp_path)!r}))\n"
        "print(len(client.answers([ChatRequest((('user', f'text {number}'),)) for number in range(12)])))"
    )
    stuck = threading.Event()

    def answer(_: Asked) -> Reply:
        if len(server.asked) > 5 and not stuck.is_set():
            stuck.wait(20)
        return completion("3")

    server.answer = answer
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while len(server.asked) < 7 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stuck.set()
    kept = len(list(tmp_path.rglob("[0-9a-f]*.json")))
    assert kept == 5
    server.asked.clear()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "12\n"
    assert len(server.asked) == 12 - kept
