from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backends.chat_server import Asked, ChatServer, Reply, chat_server, completion, refusal

from convbench.config import Config, build_config, load_config
from convbench.errors import ConvbenchError, ResourceError, UsageError
from convbench.meter import Meter
from convbench.writing.base import LanguageModel, Request, Text
from convbench.writing.open import LanguageModelConfig, open_language_model
from convbench.writing.server import ServerConfig, ServerModel

pytest.importorskip("openai", reason="the extra 'judge' brings the package openai")

KEY = "sk-very-secret-0123456789"


class Holder(Config):
    """As a component's YAML holds a model."""

    model: LanguageModelConfig


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def model(server: ChatServer, cache: Path, *, seed: int = 0, offline: bool = False, **settings: Any) -> ServerModel:
    config = ServerConfig(**{"model": "writer-1", "base_url": server.url, "timeout": 5.0, "retries": 2, **settings})
    return ServerModel(config, offline=offline, seed=seed, cache=cache)


def requests(count: int, samples: int = 1) -> list[Request]:
    return [Request(f"c_{number}", (("system", "be short"), ("user", f"text {number}")), samples) for number in range(count)]


def echo(asked: Asked) -> Reply:
    return completion(f" {asked.body['messages'][-1]['content'].upper()} with {asked.body.get('seed')}\n")


def counts(of: ServerModel, asked: list[Request]) -> dict[str, Any]:
    meter = Meter()
    with meter.phase("generate"):
        of.write(asked, meter)
    found = dict(meter.take()["phases"]["generate"])
    return {name: found[name] for name in ("requests", "cached_requests", "tokens_in", "tokens_out", "micro_cost")}


def with_chances(*values: Any) -> Reply:
    reply = completion("fine")
    assert isinstance(reply.body, dict)
    reply.body["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": value, "top_logprobs": []} for value in values]}
    return reply


def test_what_is_sent_and_what_comes_back(server: ChatServer, tmp_path: Path) -> None:
    server.answer = echo
    writer = model(server, tmp_path, max_tokens=9)
    assert isinstance(writer, LanguageModel)
    assert writer.write(requests(2), Meter()) == [(Text(f"TEXT {number} with 0", "stop", 100, 7),) for number in range(2)]
    body = min((asked.body for asked in server.asked), key=lambda body: body["messages"][-1]["content"])
    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": "text 0"}]
    assert body == {"model": "writer-1", "messages": messages, "temperature": 0.0, "max_tokens": 9, "seed": 0}


def test_samples_have_seeds_of_their_own_in_every_run(server: ChatServer, tmp_path: Path) -> None:
    server.answer = echo
    texts = [model(server, tmp_path, seed=seed, temperature=0.7).write(requests(2, 3), Meter()) for seed in (0, 0, 1)]
    assert [text.text for text in texts[0][1]] == [f"TEXT 1 with {seed}" for seed in (0, 1, 2)]
    assert texts[1] == texts[0]
    assert [text.text for text in texts[2][1]] == [f"TEXT 1 with {seed}" for seed in (1000, 1001, 1002)]
    assert len(server.asked) == 12


def test_a_greedy_text_is_asked_for_once_and_repeated(server: ChatServer, tmp_path: Path) -> None:
    server.answer = echo
    assert counts(model(server, tmp_path), requests(1, 5))["requests"] == 1
    (texts,) = model(server, tmp_path).write(requests(1, 5), Meter())
    assert len(texts) == 5
    assert len(set(texts)) == 1


def test_what_was_spent(server: ChatServer, tmp_path: Path) -> None:
    prices = {"price_in": 0.25, "price_out": 2.0}
    spent = {"requests": 3, "cached_requests": 0, "tokens_in": 300, "tokens_out": 21, "micro_cost": 117}
    assert counts(model(server, tmp_path, **prices), requests(3)) == spent
    more = {"requests": 1, "cached_requests": 3, "tokens_in": 400, "tokens_out": 28, "micro_cost": 39}
    assert counts(model(server, tmp_path, **prices), requests(4)) == more
    free = {"requests": 0, "cached_requests": 4, "tokens_in": 400, "tokens_out": 28, "micro_cost": 0}
    assert counts(model(server, tmp_path, **prices), requests(4)) == free
    twice = [*requests(1), Request("d_1", requests(1)[0].messages)]
    assert counts(model(server, tmp_path / "other"), twice)["tokens_in"] == 100
    assert counts(model(server, tmp_path / "other"), [])["requests"] == 0


def test_log_probabilities_on_request(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda _: with_chances(-0.5, -1.25)
    assert model(server, tmp_path).write(requests(1), Meter())[0][0].log_probability == -1.75
    assert "logprobs" not in server.asked[0].body
    (texts,) = model(server, tmp_path, log_probabilities=True).write(requests(1), Meter())
    assert texts[0].log_probability == -1.75
    assert server.asked[1].body["logprobs"] is True
    assert model(server, tmp_path, log_probabilities=True).write(requests(1), Meter()) == [texts]
    assert len(server.asked) == 2


@pytest.mark.parametrize("chances", [[], [None], ["x"], [-1.0, None], [float("-inf")]])
def test_odd_log_probabilities_are_none_and_the_text_is_kept(server: ChatServer, tmp_path: Path, chances: list[Any]) -> None:
    server.answer = lambda _: with_chances(*chances)
    for _ in range(2):
        assert model(server, tmp_path, log_probabilities=True).write(requests(1), Meter()) == [(Text("fine", "stop", 100, 7),)]
    assert len(server.asked) == 1


def test_busy_and_broken_moments_are_waited_out(server: ChatServer, tmp_path: Path) -> None:
    busy = Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.05"})
    replies = iter([busy, refusal(500, "broken"), completion("fine")])
    server.answer = lambda _: next(replies)
    assert model(server, tmp_path).write(requests(1), Meter())[0][0].text == "fine"
    assert len(server.asked) == 3


def test_a_server_that_says_when_to_come_back_is_believed(server: ChatServer, tmp_path: Path) -> None:
    busy = Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "1.5"})
    times: list[float] = []

    def answer(_: Asked) -> Reply:
        times.append(time.monotonic())
        return busy if len(times) == 1 else completion("fine")

    server.answer = answer
    model(server, tmp_path).write(requests(1), Meter())
    assert times[1] - times[0] >= 1.5


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (refusal(429, f"quota of {KEY}"), r"HTTP 429 \(tries: 3\): quota of \*\*\*; wait, or lower 'parallel'"),
        (refusal(500, "broken"), r"HTTP 500 \(tries: 3\): broken"),
        (refusal(401, f"wrong key {KEY}"), "refuses the key"),
        (Reply(b"<html>", 200, {"Content-Type": "text/html"}), "is no chat completion"),
        (Reply(b"\xff\x00 garbage", 200), "is no chat completion"),
    ],
)
def test_what_goes_on_failing_is_one_clear_line_and_loses_nothing(server: ChatServer, tmp_path: Path, reply: Reply, found: str) -> None:
    server.answer = lambda asked: reply if asked.body["messages"][-1]["content"] == "text 2" else completion("fine")
    with pytest.raises(ResourceError, match=found) as caught:
        model(server, tmp_path, parallel=1).write(requests(4), Meter())
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value) + repr(caught.value.__cause__)
    server.answer = lambda _: completion("fine")
    again = counts(model(server, tmp_path, parallel=1, price_in=1.0), requests(4))
    assert (again["requests"], again["cached_requests"], again["micro_cost"]) == (2, 2, 200)


def test_a_slow_server_is_given_up_in_the_end(server: ChatServer, tmp_path: Path) -> None:
    released = threading.Event()

    def answer(_: Asked) -> Reply:
        released.wait(10)
        return completion("late")

    server.answer = answer
    with pytest.raises(ResourceError, match=r"no answer within 0.2 s \(tries: 2\); is it overloaded\?"):
        model(server, tmp_path, timeout=0.2, retries=1).write(requests(1), Meter())
    released.set()


def test_one_text_may_fail_alone(server: ChatServer, tmp_path: Path) -> None:
    long = refusal(400, "This model's maximum context length is 4096 tokens")
    replies = {
        "text 0": long,
        "text 1": completion(None, "content_filter"),
        "text 2": completion(""),
        "text 3": completion("cut", "length"),
    }
    server.answer = lambda asked: replies[asked.body["messages"][-1]["content"]]
    failed, filtered, empty, cut = (texts[0] for texts in model(server, tmp_path).write(requests(4), Meter()))
    assert (failed.failure or "").startswith("the server does not take this text: This model's maximum")
    assert (filtered.text, filtered.finish_reason, filtered.failure) == ("", "content_filter", None)
    assert (empty.text, empty.finish_reason) == ("", "empty")
    assert (cut.text, cut.finish_reason) == ("cut", "length")


def test_what_identifies_it_is_neither_the_key_nor_what_changes_no_text(server: ChatServer, tmp_path: Path) -> None:
    described = model(server, tmp_path).describe()
    sampling = {"temperature": 0.0, "max_tokens": 512, "seed": 0, "log_probabilities": False}
    assert described == {"type": "server", "model": "writer-1", "base_url": server.url, "version": 1, **sampling}
    unimportant = {"timeout": 9.0, "retries": 0, "parallel": 1, "price_in": 3.0, "api_key_env": "OTHER"}
    assert model(server, tmp_path, **unimportant).describe() == described
    for other in ({"model": "writer-2"}, {"temperature": 0.5}, {"max_tokens": 9}, {"seed": 3}, {"log_probabilities": True}):
        assert model(server, tmp_path, **other).describe() != described
    assert model(server, tmp_path, seed=1).describe() != described
    assert model(server, tmp_path, model="/some/where/writer").describe()["model"] == "writer"


def test_the_key_is_written_nowhere(server: ChatServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = model(server, tmp_path)
    with caplog.at_level(logging.DEBUG):
        writer.check()
        writer.load(Meter())
        writer.write(requests(2), Meter())
    assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in caplog.text
    assert all(KEY not in path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in f"{writer.describe()} {writer._config!r} {writer._client.config!r}"


@pytest.mark.parametrize(
    "values",
    [
        {"api_key": KEY},
        {"api_key_env": KEY},
        {"api_key_env": f"OPENAI_API_KEY={KEY}"},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"api_key": KEY, "type": "servr"},
        {"base_url": f"https://user:{KEY}@writer.example/v1"},
        {"base_url": f"https://writer.example/v1?key={KEY}"},
        {"base_url": f"https://user:{KEY}@writer.example/v1", "temperature": "warm"},
    ],
)
def test_a_key_in_the_settings_is_refused_and_not_repeated(tmp_path: Path, values: dict[str, Any]) -> None:
    given = {"type": "server", "model": "m", **values}
    path = tmp_path / "system.yaml"
    path.write_text("model:\n" + "".join(f"  {name}: {value!r}\n" for name, value in given.items()), encoding="utf-8")
    for build in (lambda: build_config(Holder, {"model": given}, "system"), lambda: load_config(Holder, path)):
        with pytest.raises(ConvbenchError) as caught:
            open_language_model(build().model, offline=False, seed=0).describe()
        assert "very-secret" not in f"{caught.value} {caught.value.__cause__!r}"


def test_offline_asks_servers_on_this_machine_alone(server: ChatServer, tmp_path: Path) -> None:
    assert model(server, tmp_path, offline=True).write(requests(1), Meter())
    with pytest.raises(ResourceError, match="is not on this machine and --offline forbids asking it"):
        model(server, tmp_path, offline=True, base_url="https://writer.example/v1").check()


def test_models_are_told_apart_by_their_type() -> None:
    for values, found in (
        ({"type": "transformers", "model": "m"}, "LocalModel"),
        ({"type": "seq2seq", "model": "m", "decoding": {"beams": 10}}, "Seq2SeqModel"),
        ({"type": "server", "model": "m", "price_in": 1}, "ServerModel"),
    ):
        config = build_config(Holder, {"model": values}, "system").model
        assert type(open_language_model(config, offline=True, seed=0)).__name__ == found
    with pytest.raises(UsageError, match="Did you mean 'seq2seq'"):
        build_config(Holder, {"model": {"type": "seq2sec", "model": "m"}}, "system")


@pytest.mark.slow
def test_a_killed_process_pays_for_nothing_twice(server: ChatServer, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from convbench.meter import Meter; from convbench.writing.base import Request\n"
        "from convbench.writing.server import *\n"
        f"config = ServerConfig(model='writer-1', base_url={server.url!r}, parallel=2, temperature=1.0, price_in=10)\n"
        f"model, meter = ServerModel(config, offline=True, seed=0, cache=Path({str(tmp_path)!r})), Meter()\n"
        "with meter.phase('generate'):\n"
        "    texts = model.write([Request(f'c_{n}', (('user', f'text {n}'),), 2) for n in range(6)], meter)\n"
        "counts = meter.take()['phases']['generate']\n"
        "print(sum(map(len, texts)), counts['requests'], counts['cached_requests'], counts['micro_cost'])"
    )
    stuck = threading.Event()

    def answer(_: Asked) -> Reply:
        if len(server.asked) > 5 and not stuck.is_set():
            stuck.wait(20)
        return completion("fine")

    server.answer = answer
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(server.asked) < 7 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stuck.set()
    server.asked.clear()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "12 7 5 7000\n"
    assert len(server.asked) == 7
