from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from backends.chat_server import Asked, ChatServer, Reply, completion, refusal
from rewriting.conversations import FIRST, SAID, THIRD, rewriter_of
from rewriting.tiny_t5 import make_t5

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.rewriting.base import QueryRewriter, Rewrite, RewriteInput

FORM = {"version": 1, "source": "a test", "session": {"user": "U: {text}", "agent": "S: {text}"}}
REWRITE = {**FORM, "user": "[rewrite] {history}\nQ: {question}", "extract": r"Rewrite:\s*(?P<text>[^\n]+)"}
BOTH = {**FORM, "user": "[both] {history} {question}", "extract": r"Rewrite: (?P<text>[^\n]+)\nResponse: (?P<response>.+)"}
RESPOND = {**FORM, "user": "[respond] {history}\nQ: {rewrite}"}


def prompted(server: ChatServer, *steps: dict[str, Any], model: dict[str, Any] | None = None, **values: Any) -> QueryRewriter:
    chosen = {"type": "server", "model": "m", "base_url": server.url, "temperature": 0.7, "retries": 0, **(model or {})}
    return rewriter_of({"type": "prompted", "model": chosen, "steps": list(steps), **values})


def step(name: str, prompt: Any, **values: Any) -> dict[str, Any]:
    return {"name": name, "prompt": prompt, **values}


def rewritten(rewriter: QueryRewriter, inputs: Sequence[RewriteInput], tmp_path: Path) -> list[Rewrite]:
    rewriter.check([item.turn for item in inputs])
    rewriter.open(tmp_path, Meter())
    return rewriter.rewrite(inputs, Meter())


def asked_text(asked: Asked) -> str:
    return str(asked.body["messages"][-1]["content"])


def by_sample(texts: dict[str, list[str]], log_probabilities: Sequence[float] = ()) -> Callable[[Asked], Reply]:
    """Answers a prompt by its first word; sample n, whose seed is 1000 + n, gets the n-th text."""

    def answer(asked: Asked) -> Reply:
        number = asked.body["seed"] - 1000
        text = texts[asked_text(asked).split("]")[0] + "]"][number]
        if not log_probabilities:
            return completion(text)
        token = {"token": "x", "bytes": None, "logprob": log_probabilities[number], "top_logprobs": []}
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
            "logprobs": {"content": [token], "refusal": None},
        }
        return completion(text, choices=[choice])

    return answer


def test_one_step(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda _: completion("Reason: her.\nRewrite: Is Ada Brook buried there?\n")
    [rewrite] = rewritten(prompted(server, step("rewrite", REWRITE), question="{rewrite}"), [THIRD], tmp_path)
    usage = {"rewrite_tokens_in": 100, "rewrite_tokens_out": 7}
    assert rewrite == Rewrite("Is Ada Brook buried there?", usage=usage)
    said = "U: Who built the Dune lighthouse?\nS: Ada Brook built it in 1871.\nU: How tall is it?\nS: It is 38 metres tall."
    assert asked_text(server.asked[0]) == f"[rewrite] {said}\nQ: Is she buried there?"


def test_a_later_prompt_holds_what_an_earlier_step_gave(server: ChatServer, tmp_path: Path) -> None:
    server.answer = by_sample({"[rewrite]": ["Rewrite: Is Ada {history} buried?"], "[respond]": ["In Dune.", "At sea.", "In Dune."]})
    steps = [step("rewrite", REWRITE), step("response", RESPOND, samples=3)]
    rewriter = prompted(server, *steps, question="{rewrite}", query=["{rewrite}", "{response}"], aggregation="mean")
    [rewrite] = rewritten(rewriter, [THIRD], tmp_path)
    assert rewrite.question == "Is Ada {history} buried?"  # braces that a model writes stand for themselves
    assert rewrite.texts == ("Is Ada {history} buried?", "In Dune.", "At sea.", "In Dune.")
    assert rewrite.combine == "mean"
    assert rewrite.usage == {"rewrite_tokens_in": 400, "rewrite_tokens_out": 28}
    assert asked_text(server.asked[1]).endswith("\nQ: Is Ada {history} buried?")


def test_a_text_of_two_steps_stands_for_the_samples_of_one(server: ChatServer, tmp_path: Path) -> None:
    server.answer = by_sample({"[rewrite]": ["Rewrite: a"], "[respond]": ["b", "c"]})
    steps = [step("rewrite", REWRITE), step("response", RESPOND, samples=2)]
    query = {"question": "{rewrite}", "query": ["{rewrite} {response}"], "aggregation": "self-consistency"}
    [rewrite] = rewritten(prompted(server, *steps, **query), [THIRD], tmp_path)
    assert (rewrite.texts, rewrite.combine) == (("a b", "a c"), "self-consistency")


def test_samples_without_chance_are_one_text_and_are_counted_once(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda _: completion("Rewrite: a")
    greedy = prompted(server, step("rewrite", REWRITE, samples=3), model={"temperature": 0.0}, question="{rewrite}", query=["{rewrite}"])
    [rewrite] = rewritten(greedy, [THIRD], tmp_path)
    assert (rewrite.question, rewrite.usage) == ("a", {"rewrite_tokens_in": 100, "rewrite_tokens_out": 7})
    assert len(server.asked) == 1


RAR = ["Rewrite: a\nResponse: b\nc", "Rewrite: d", "Rewrite: e\nResponse: f"]


@pytest.mark.parametrize(
    ("aggregation", "query", "texts", "combine"),
    [
        ("first", ["{rewrite}", "{response}"], ("a", "b\nc"), "mean"),
        ("mean", ["{rewrite}", "{response}"], ("a", "e", "b\nc", "f"), "mean"),
        ("self-consistency", ["{rewrite} {response}"], ("a b\nc", "e f"), "self-consistency"),
        ("mean", [], ("a", "e"), "mean"),  # the query is the question, of which there are as many as samples
        ("first", [], (), "mean"),
        ("mean", ["{response}", "{question}"], ("b\nc", "f", "Is she buried there?"), "mean"),
    ],
)
def test_two_parts_of_one_answer(
    server: ChatServer, tmp_path: Path, aggregation: str, query: list[str], texts: tuple[str, ...], combine: str
) -> None:
    server.answer = by_sample({"[both]": RAR})
    both = step("rewrite", BOTH, samples=3)
    [rewrite] = rewritten(prompted(server, both, question="{rewrite}", query=query, aggregation=aggregation), [THIRD], tmp_path)
    assert (rewrite.question, rewrite.texts, rewrite.combine, rewrite.failure) == ("a", texts, combine, None)
    assert rewrite.usage == {"rewrite_tokens_in": 300, "rewrite_tokens_out": 21}


def test_the_likeliest_sample(server: ChatServer, tmp_path: Path) -> None:
    server.answer = by_sample({"[both]": RAR}, [-3.0, -0.1, -2.0])
    both, asks = step("rewrite", BOTH, samples=3), {"log_probabilities": True}
    settings = {"question": "{rewrite}", "query": ["{rewrite}", "{response}"], "aggregation": "max-probability"}
    [rewrite] = rewritten(prompted(server, both, model=asks, **settings), [THIRD], tmp_path)
    assert (rewrite.question, rewrite.texts) == ("e", ("e", "f"))  # the likeliest of those that can be read


def test_the_likeliest_sample_of_a_server_that_does_not_say(server: ChatServer, tmp_path: Path) -> None:
    server.answer = by_sample({"[rewrite]": ["Rewrite: a", "Rewrite: b"]})
    asks, settings = {"log_probabilities": True}, {"question": "{rewrite}", "aggregation": "max-probability"}
    rewriter = prompted(server, step("rewrite", REWRITE, samples=2), model=asks, **settings)
    with pytest.raises(UsageError, match=r"turn .*, step rewrite: aggregation max-probability: the server does not say"):
        rewritten(rewriter, [THIRD], tmp_path)
    server.answer = lambda _: completion("Rewrite: c")  # alike, so that nothing is to be chosen
    [rewrite] = rewritten(
        prompted(server, step("rewrite", {**REWRITE, "user": "{question}"}, samples=2), model=asks, **settings), [THIRD], tmp_path
    )
    assert rewrite.question == "c"


def test_the_likeliest_sample_of_a_server_that_is_not_asked(server: ChatServer) -> None:
    rewriter = prompted(server, step("rewrite", REWRITE), question="{rewrite}", aggregation="max-probability")
    with pytest.raises(UsageError, match=r"max-probability: .* set log_probabilities: true"):
        rewriter.check([])
    assert server.asked == []


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (completion("I cannot say."), "rewrite: not the form that was asked for"),
        (completion(""), "rewrite: no text (empty)"),
        (completion("Rewrite:   "), "rewrite: not the form that was asked for"),
        (refusal(400, "maximum context length is 10 tokens", "context_length_exceeded"), "rewrite: "),
    ],
)
def test_a_failure_leaves_its_question_and_no_other(server: ChatServer, tmp_path: Path, reply: Reply, failure: str) -> None:
    server.answer = lambda asked: completion("Rewrite: fine") if "Q: Who built" in asked_text(asked) else reply
    kept, other = rewritten(prompted(server, step("rewrite", REWRITE), question="{rewrite}"), [THIRD, FIRST], tmp_path)
    assert kept.question == "Is she buried there?"
    assert kept.texts == ()
    assert kept.failure is not None
    assert kept.failure.startswith(failure)
    assert kept.usage["rewrite_steps_failed"] == 1
    assert (other.question, other.failure) == ("fine", None)


def test_what_stands_for_an_answer(server: ChatServer, tmp_path: Path) -> None:
    server.answer = by_sample({"[rewrite]": ["no"], "[respond]": ["In Dune."]})
    steps = [step("rewrite", REWRITE, otherwise="{question}"), step("response", RESPOND, needs=["rewrite"])]
    [rewrite] = rewritten(prompted(server, *steps, question="{rewrite}", query=["{rewrite}", "{response}"]), [THIRD], tmp_path)
    assert rewrite.texts == ("Is she buried there?", "In Dune.")
    assert rewrite.failure == "rewrite: not the form that was asked for"
    assert asked_text(server.asked[1]).endswith("\nQ: Is she buried there?")


def test_a_step_without_what_it_needs_is_left_out(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda _: completion("Rewrite: fine")
    rewriter = prompted(server, step("rewrite", REWRITE, needs=["history"]), question="{rewrite}")
    first, third = rewritten(rewriter, [FIRST, THIRD], tmp_path)
    assert first == Rewrite(FIRST.turn.query)
    assert third.question == "fine"
    assert len(server.asked) == 1


def test_a_new_topic_cuts_the_history_for_later_steps(server: ChatServer, tmp_path: Path) -> None:
    topic = {**FORM, "user": "[topic] {history} {question}", "extract": "(?P<text>old|new)"}
    last = {**FORM, "user": "[last] {last_question} {last_response} {history}"}
    answers = {"[topic]": "new", "[last]": "said", "[rewrite]": "Rewrite: {}"}
    server.answer = lambda asked: completion(answers[asked_text(asked).split()[0]])
    steps = [step("topic", topic, forget="new"), step("last", last), step("rewrite", REWRITE)]
    rewritten(prompted(server, *steps, question="{rewrite}"), [THIRD], tmp_path)
    before, at_last, after = (asked_text(asked) for asked in server.asked)
    assert "Ada Brook" in before
    assert at_last == "[last] How tall is it? It is 38 metres tall. U: How tall is it?\nS: It is 38 metres tall."
    assert after == "[rewrite] U: How tall is it?\nS: It is 38 metres tall.\nQ: Is she buried there?"
    answers["[topic]"] = "old"
    rewritten(prompted(server, *steps, question="{rewrite}"), [RewriteInput(THIRD.turn, SAID[:2])], tmp_path)
    assert "Ada Brook" in asked_text(server.asked[-1])


def test_editing_what_another_rewriter_made(server: ChatServer, tmp_path: Path) -> None:
    t5 = make_t5(tmp_path / "t5")
    start = {"type": "seq2seq", "model": {"model": str(t5), "decoding": {"max_new_tokens": 8}}, "first_turn": "asked"}
    edit = {**FORM, "user": "[edit] {question} -> {start}", "extract": r"(?P<text>.+\?)$"}
    server.answer = lambda asked: completion("edited?" if "Who built" in asked_text(asked) else "no need")
    rewriter = prompted(server, step("edit", edit), start=start, question="{edit}")
    first, third = rewritten(rewriter, [FIRST, THIRD], tmp_path)
    [begun] = rewriter_of(start).rewrite([THIRD], meter := Meter())
    rewriter.rewrite([FIRST, THIRD], meter)
    assert meter.take()["phases"]["rewrite"]["turns"] == 1 + 2  # the start's turns are the same turns
    assert first.question == "edited?"
    assert third.question == begun.question != THIRD.turn.query
    assert third.failure == "edit: not the form that was asked for"
    assert third.usage["rewrite_tokens_in"] == 100 + begun.usage["rewrite_tokens_in"]
    assert any(asked_text(asked).endswith(f"-> {begun.question}") for asked in server.asked)


def test_turns_go_together_step_by_step_and_their_batch_does_not_matter(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda asked: completion(f"Rewrite: {asked_text(asked)[-20:]}")
    rewriter = prompted(server, step("rewrite", REWRITE), step("response", RESPOND), question="{rewrite}", query=["{response}"])
    together = rewritten(rewriter, [FIRST, THIRD], tmp_path)
    assert [asked_text(asked).split()[0] for asked in server.asked] == ["[rewrite]"] * 2 + ["[respond]"] * 2
    assert together == [*rewriter.rewrite([FIRST], Meter()), *rewriter.rewrite([THIRD], Meter())]
    assert rewriter.rewrite([], Meter()) == []


def test_costs_go_to_the_phase(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda _: completion("Rewrite: x")
    meter, rewriter = Meter(), prompted(server, step("rewrite", REWRITE, samples=2), question="{rewrite}")
    rewriter.rewrite([FIRST, THIRD], meter)
    phase = meter.take()["phases"]["rewrite"]
    assert (phase["turns"], phase["requests"], phase["tokens_out"]) == (2, 4, 28)


def test_descriptions_hold_the_prompts_and_tell_settings_apart(server: ChatServer) -> None:
    base: dict[str, Any] = {"question": "{rewrite}"}
    changed = {**REWRITE, "user": "[other] {history} {question}"}
    rewriters = [
        prompted(server, step("rewrite", REWRITE), **base),
        prompted(server, step("rewrite", changed), **base),
        prompted(server, step("rewrite", REWRITE, samples=2), **base),
        prompted(server, step("rewrite", REWRITE, otherwise="{question}"), **base),
        prompted(server, step("rewrite", REWRITE), **base, aggregation="mean"),
        prompted(server, step("rewrite", REWRITE), **base, query=["{question}"]),
        prompted(server, step("rewrite", REWRITE), **base, start="human"),
        prompted(server, step("rewrite", REWRITE), **base, model={"temperature": 0.5}),
    ]
    described = [json.dumps(rewriter.describe(), sort_keys=True) for rewriter in rewriters]
    assert len(set(described)) == len(described)
    assert "[rewrite] {history}" in described[0]
    assert described[0] == json.dumps(prompted(server, step("rewrite", REWRITE), **base, batch_size=7).describe(), sort_keys=True)


def test_the_start_is_checked_too(server: ChatServer) -> None:
    rewriter = prompted(server, step("rewrite", REWRITE), question="{rewrite}", start="human")
    with pytest.raises(UsageError, match="no human rewrite"):
        rewriter.check([THIRD.turn])
