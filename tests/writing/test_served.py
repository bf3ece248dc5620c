from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from writing.served import transformers_serve
from writing.writing_models import chat_folder

from convbench.errors import ResourceError
from convbench.meter import Meter
from convbench.writing.base import Request, Text
from convbench.writing.local import LocalConfig, LocalModel
from convbench.writing.server import ServerConfig, ServerModel

pytest.importorskip("openai", reason="the extra 'judge' brings the package openai")
pytestmark = pytest.mark.slow

QUESTIONS = ("Who keeps the lighthouse?", "When did the mill burn down, and who built it again?", "Why?")


def requests(samples: int = 1) -> list[Request]:
    said = [(("system", "Write a short answer."), ("user", text)) for text in QUESTIONS]
    return [Request(f"c_{number}", messages, samples) for number, messages in enumerate(said, 1)]


def model(url: str, cache: Path, **settings: Any) -> ServerModel:
    values = {"max_tokens": 12, "timeout": 120.0, "parallel": 2, **settings}
    return ServerModel(ServerConfig(model=str(chat_folder("llama")), base_url=url, **values), offline=True, seed=0, cache=cache)


def said(found: list[tuple[Text, ...]]) -> list[tuple[str, str, int, int]]:
    return [(text.text, text.finish_reason, text.tokens_in, text.tokens_out) for texts in found for text in texts]


def test_a_real_server_writes_what_the_same_checkpoint_writes_here(tmp_path: Path) -> None:
    here = LocalModel(LocalConfig(model=str(chat_folder("llama")), device="cpu", decoding={"max_new_tokens": 12}), offline=True, seed=0)
    expected = here.write(requests(), Meter())
    with transformers_serve(chat_folder("llama"), tmp_path / "server.log") as url:
        served = model(url, tmp_path / "cache")
        served.check()
        assert said(served.write(requests(), Meter())) == said(expected)
        sampled = model(url, tmp_path / "cache", temperature=1.0, max_tokens=8).write(requests(2), Meter())
        assert {text.tokens_out for texts in sampled for text in texts} == {8}
        without = model(url, tmp_path / "cache", log_probabilities=True).write(requests(), Meter())
        assert said(without) == said(expected)
        assert {text.log_probability for texts in without for text in texts} == {None}, "this server does not tell"
    # The server is gone; what it wrote is not.
    assert said(model(url, tmp_path / "cache").write(requests(), Meter())) == said(expected)
    assert model(url, tmp_path / "cache", temperature=1.0, max_tokens=8).write(requests(2), Meter()) == sampled
    with pytest.raises(ResourceError, match=r"cannot be reached \(tries: 1\); is it running\?"):
        model(url, tmp_path / "cache", max_tokens=9, retries=0).write(requests(), Meter())


def test_a_server_that_dies_half_way_is_asked_for_the_rest_alone(tmp_path: Path) -> None:
    with transformers_serve(chat_folder("llama"), tmp_path / "first.log") as url:
        begun = model(url, tmp_path / "cache").write(requests()[:2], Meter())
    with pytest.raises(ResourceError, match="answers that came are kept, the same command goes on from there"):
        model(url, tmp_path / "cache", retries=0).write(requests(), Meter())
    meter = Meter()
    port = int(url.split(":")[2].split("/")[0])
    with transformers_serve(chat_folder("llama"), tmp_path / "second.log", port=port), meter.phase("generate"):
        ended = model(url, tmp_path / "cache", price_in=1.0).write(requests(), meter)
    counts = meter.take()["phases"]["generate"]
    assert (counts["requests"], counts["cached_requests"]) == (1, 2)
    assert ended[:2] == begun
    assert counts["micro_cost"] == ended[2][0].tokens_in
