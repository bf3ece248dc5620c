"""`bm25-server` as it is shipped, against servers on this machine: a real one that dies half way, and one that misbehaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import pytest
from backends.chat_server import Asked, ChatServer, Reply, chat_server, completion, refusal
from command_line import convbench, succeed
from writing.served import transformers_serve
from writing.writing_models import chat_folder

from convbench.harness.results import read_results
from convbench.io.runfile import read_run

KEY = "sk-a-key-that-must-stay-in-the-environment"
SELECTED = ("-d", "topiocqa", "--limit", 2, "--metrics", "token-f1", "--offline")


@pytest.fixture(autouse=True)
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        running.answer = lambda asked: completion(f"It was {len(asked.body['messages'][-1]['content'])}.")
        yield running


def arguments(url: str, out: Path, **settings: object) -> list[object]:
    changes = {"base_url": url, "retries": 0, "parallel": 2, "timeout": 100, **settings}
    given = [part for name, value in changes.items() for part in ("--set", f"generator.model.{name}={value}")]
    return ["run", "bm25-server", *SELECTED, "--out", out, *given]


def responses(folder: Path) -> dict[str, str | None]:
    return {turn_id: record.response for turn_id, record in read_run(folder / "turns.jsonl").records.items()}


def nothing_is_half_written(folder: Path) -> None:
    assert not list(folder.rglob("*.tmp"))
    for path in folder.rglob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            json.loads(line)


def fail_after(server: ChatServer, good: int, reply: Reply) -> None:
    """Answers so many requests, and every later one with ``reply``."""
    usual, lock, left = server.answer, Lock(), [good]

    def answer(asked: Asked) -> Reply:
        with lock:
            left[0] -= 1
            return usual(asked) if left[0] >= 0 else reply

    server.answer = answer


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refusal(429, "slow down"), "HTTP 429"),
        (refusal(500, "out of memory"), "HTTP 500"),
        (Reply(b"<html>welcome</html>"), "no chat completion"),
        (Reply(b"\x00\xff{"), "no chat completion"),
    ],
)
def test_faults_end_in_one_line_and_nothing_finished_is_lost(server: ChatServer, tmp_path: Path, reply: Reply, message: str) -> None:
    usual = server.answer
    fail_after(server, 5, reply)
    out = tmp_path / "run"
    assert message in convbench(*arguments(server.url, out)).error
    nothing_is_half_written(out)
    answered = len(server.asked) - 1  # the fault itself; those that were under way with it were answered
    server.answer, server.asked = usual, []
    succeed(*arguments(server.url, out))
    cost = read_results(out / "results.json").cost.server
    assert cost is not None
    total = len(responses(out))
    assert cost.requests == len(server.asked) <= total - 4
    assert cost.requests + cost.cached_requests == total
    assert answered >= 5
    whole = tmp_path / "whole"
    succeed(*arguments(server.url, whole))
    assert responses(whole) == responses(out)


def test_what_fails_for_a_moment_is_asked_again(server: ChatServer, tmp_path: Path) -> None:
    usual, lock, seen = server.answer, Lock(), set[str]()

    def answer(asked: Asked) -> Reply:
        prompt = json.dumps(asked.body["messages"])
        with lock:
            first = prompt not in seen
            seen.add(prompt)
        return refusal(429 if len(seen) % 2 else 503, "come back") if first else usual(asked)

    server.answer = answer
    succeed(*arguments(server.url, tmp_path / "run", retries=2))
    assert len(server.asked) == 2 * len(seen)
    assert all(text and text.startswith("It was ") for text in responses(tmp_path / "run").values())


def test_a_server_that_is_too_slow(server: ChatServer, tmp_path: Path) -> None:
    usual = server.answer
    server.answer = lambda asked: (time.sleep(1.0), usual(asked))[1]
    assert "no answer within 0.2 s" in convbench(*arguments(server.url, tmp_path / "run", timeout=0.2, parallel=1)).error


def test_the_key_is_sent_and_written_nowhere(server: ChatServer, tmp_path: Path) -> None:
    finished = succeed(*arguments(server.url, tmp_path / "run"))
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    server.answer = lambda asked: refusal(401, f"no such key: {KEY}")
    failed = convbench(*arguments(server.url, tmp_path / "other", max_tokens=9))
    assert failed.code != 0
    assert KEY not in finished.out + finished.err + failed.out + failed.err
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 20
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


def test_with_its_own_responses_rewriter_and_generator_both_see_them(server: ChatServer, tmp_path: Path) -> None:
    system = tmp_path / "live.yaml"
    model = f"{{type: server, model: served, base_url: {server.url}}}"
    system.write_text(
        f"""kind: two-stage
name: live
history: {{view: full-own}}
rewriter:
  type: prompted
  model: {model}
  steps:
    - {{name: rewrite, prompt: {{version: 1, source: a test, user: "REWRITE {{history}} || {{question}}"}}}}
  question: "{{rewrite}}"
retriever: {{type: bm25}}
generator:
  type: prompted
  model: {model}
  prompt: {{version: 1, source: a test, user: "RESPOND {{history}} || {{question}} {{passages}}"}}
""",
        encoding="utf-8",
    )
    server.answer = lambda asked: completion(
        f"said {len(server.asked)}" if "RESPOND" in asked.body["messages"][0]["content"] else "lamp oil"
    )
    succeed("run", system, "-d", "topiocqa", "--limit", 1, "--metrics", "token-f1", "--offline", "--out", tmp_path / "run")
    own = [text for text in responses(tmp_path / "run").values() if text]
    prompts = [asked.body["messages"][0]["content"] for asked in server.asked]
    for kind in ("REWRITE", "RESPOND"):
        asked = [prompt for prompt in prompts if prompt.startswith(kind)]
        assert len(asked) == len(own) > 3
        for number, prompt in enumerate(asked):
            assert all(text in prompt.partition("||")[0] for text in own[:number])
            assert not any(f"System: {text}\n" in f"{prompt}\n" for text in own[number:])


@pytest.mark.slow
def test_a_real_server_that_dies_half_way(tmp_path: Path) -> None:
    name = ("model", str(chat_folder("llama")))
    settings = {"max_tokens": 6, name[0]: name[1], "timeout": 120, "parallel": 1}
    short = {"version": 1, "source": "a test", "user": "{question}"}
    prompt = ["--set", f"generator.prompt={json.dumps(short)}"]
    with transformers_serve(chat_folder("llama"), tmp_path / "first.log") as url:
        succeed(*arguments(url, tmp_path / "part", **settings), *prompt, "--limit", 1)
    out, port = tmp_path / "run", int(url.split(":")[2].split("/")[0])
    assert "cannot be reached" in convbench(*arguments(url, out, **settings), *prompt).error
    nothing_is_half_written(out)
    with transformers_serve(chat_folder("llama"), tmp_path / "second.log", port=port) as url:
        succeed(*arguments(url, out, **settings), *prompt)
    cost = read_results(out / "results.json").cost.server
    assert cost is not None
    assert cost.cached_requests == len(responses(tmp_path / "part"))
    assert cost.requests + cost.cached_requests == len(responses(out))
