from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backends.chat_server import ChatServer, completion
from rewriting.conversations import FIRST, THIRD, rewriter_config, rewriter_of
from rewriting.tiny_t5 import make_t5

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.types import Turn

PROMPT = {"version": 1, "source": "a test", "user": "{history} {question}", "extract": "(?P<text>[A-Z].*)"}


def prompted(url: str, **values: Any) -> dict[str, Any]:
    model = {"type": "server", "model": "m", "base_url": url, "temperature": 0.5, "retries": 0}
    steps = [{"name": "rewrite", "prompt": PROMPT, "samples": 2}]
    return {"type": "prompted", "model": model, "steps": steps, "question": "{rewrite}", **values}


def several(**rewriters: Any) -> dict[str, Any]:
    return {"type": "several", "rewriters": rewriters}


def test_each_makes_a_form_and_the_first_the_question(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda asked: completion(f"Sample {asked.body['seed']}")
    trained = {"type": "seq2seq", "model": {"model": str(make_t5(tmp_path / "t5")), "decoding": {"max_new_tokens": 8}}, "batch_size": 5}
    rewriter = rewriter_of(several(ad=prompted(server.url, query=["{rewrite}"], aggregation="mean"), ft=trained, raw="none"))
    rewriter.check([THIRD.turn])
    rewriter.open(tmp_path, Meter())
    first, third = rewriter.rewrite([FIRST, THIRD], meter := Meter())
    assert meter.take()["phases"]["rewrite"]["turns"] == 2
    [alone] = rewriter_of(trained).rewrite([THIRD], Meter())
    assert third.question == "Sample 1000"
    assert third.texts == ("Sample 1000", "Sample 1001")
    assert third.forms == {"ad": ("Sample 1000", "Sample 1001"), "ft": (alone.question,), "raw": (THIRD.turn.query,)}
    assert third.usage["rewrite_tokens_in"] == 200 + alone.usage["rewrite_tokens_in"]
    assert (third.failure, third.combine) == (None, "mean")
    assert first.forms["raw"] == (FIRST.turn.query,)
    assert (rewriter.reads_history, rewriter.batch_size) == (True, 5)


def test_a_failure_says_whose_it_is(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda _: completion("nothing")
    [rewrite] = rewriter_of(several(raw="none", ad=prompted(server.url))).rewrite([THIRD], Meter())
    assert rewrite.failure == "ad: rewrite: not the form that was asked for"
    assert rewrite.forms == {"raw": (THIRD.turn.query,), "ad": (THIRD.turn.query,)}


def test_self_consistency_is_passed_on(server: ChatServer) -> None:
    server.answer = lambda asked: completion(f"Sample {asked.body['seed']}")
    nearest = prompted(server.url, query=["{rewrite}"], aggregation="self-consistency")
    [rewrite] = rewriter_of(several(raw="none", ad=nearest)).rewrite([THIRD], Meter())
    assert rewrite.combine == "self-consistency"


def test_every_rewriter_is_checked() -> None:
    rewriter = rewriter_of(several(raw="none", by_hand="human"))
    rewriter.check([Turn("1_1", "who", rewrite="who is it")])
    with pytest.raises(UsageError, match="no human rewrite"):
        rewriter.check([THIRD.turn])


def test_order_counts_in_the_description() -> None:
    one, other = rewriter_of(several(a="none", b="human")), rewriter_of(several(b="human", a="none"))
    assert one.describe() != other.describe()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (several(a="none"), r"rewriters: .*at least 2"),
        (several(a="none", b="humn"), r"rewriters\.b.*'human'"),
        (
            several(a="none", b=several(c="none", d="none")),
            r"rewriters\.b: expected none, human, or a mapping with type: seq2seq or prompted",
        ),
        (
            several(
                a=prompted("http://localhost/v1", aggregation="mean"), b=prompted("http://localhost/v1", aggregation="self-consistency")
            ),
            r"a retriever has one way for all forms",
        ),
    ],
)
def test_nonsense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rewriter_config(values)
