from __future__ import annotations

from typing import Any

import pytest
from rewriting.conversations import rewriter_config

from convbench.errors import UsageError

MODEL = {"type": "server", "model": "m"}
PROMPT = {"version": 1, "source": "a test", "user": "{history} {question}"}
TWO = {**PROMPT, "extract": "(?P<text>a)(?P<response>b)"}


def step(name: str = "rewrite", prompt: Any = PROMPT, **values: Any) -> dict[str, Any]:
    return {"name": name, "prompt": prompt, **values}


def config(*steps: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"type": "prompted", "model": MODEL, "steps": list(steps), **values}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (config(), r"steps: .*at least 1"),
        (config(step(name="Re write")), r"steps\.0\.name: "),
        (config(step(samples=0)), r"steps\.0\.samples: "),
        (config(step(smaples=2)), r"steps\.0\.smaples: .*Did you mean 'samples'"),
        (config(step(forget="(")), r"steps\.0\.forget: .*no regular expression"),
        (config(step(prompt="llm4cs-rwe")), r"steps\.0\.prompt: unknown prompt 'llm4cs-rwe'\. Did you mean 'llm4cs-rew'"),
        (config(step(prompt={**PROMPT, "user": "{question} {rewrit}"})), r"step rewrite: nothing fills in the placeholder \{rewrit\}"),
        (config(step(prompt={**PROMPT, "user": "{passages}"})), r"step rewrite: there are no passages before the search"),
        (config(step(prompt={**PROMPT, "user": "{start}"})), r"step rewrite: nothing fills in the placeholder \{start\}"),
        (config(step(otherwise="{rewrite}")), r"step rewrite, otherwise: nothing fills in the placeholder \{rewrite\}"),
        (config(step(needs=["histroy"])), r"step rewrite, needs: unknown 'histroy'\. Did you mean 'history'"),
        (config(step(), step()), r"two steps give \{rewrite\}"),
        (config(step(prompt=TWO), step("response")), r"two steps give \{response\}"),
        (config(step("question")), r"step question: the name 'question' is taken"),
        (config(step("history")), r"step history: the name 'history' is taken"),
        (config(step("prompt"), step("earlier")), r"step prompt: the name 'prompt' is taken"),
        (config(step(prompt={**PROMPT, "extract": "(?P<text>a)(?P<earlier>b)"})), r"step rewrite: the name 'earlier' is taken"),
        (config(step(), question="{rewrit}"), r"question: nothing fills in the placeholder \{rewrit\}\. Did you mean 'rewrite'"),
        (config(step(), query=["{rewrite}", "{answer}"]), r"query: nothing fills in the placeholder \{answer\}"),
        (config(step(), question=""), r"question: "),
        (config(step(), aggregation="max"), r"aggregation: .*'max-probability'"),
        (
            config(step(samples=2), step("response", samples=2), query=["{rewrite} {response}"], aggregation="mean"),
            r"query: '\{rewrite\} \{response\}' mixes the samples of two steps",
        ),
        (
            config(step(samples=2), step("response", samples=2), question="{rewrite} {response}", aggregation="mean"),
            r"question: '\{rewrite\} \{response\}' mixes the samples of two steps",
        ),
        (config(step(prompt="../../Secret")), r"steps\.0\.prompt: unknown prompt '\.\./\.\./Secret'\."),
        (
            config(step(prompt=TWO, samples=2), query=["{rewrite}", "{response}"], aggregation="self-consistency"),
            r"query: self-consistency takes one text of several samples",
        ),
        (
            {**config(step(prompt={**PROMPT, "system": "Rewrite."})), "model": {"type": "seq2seq", "model": "x"}},
            r"step rewrite: an encoder-decoder model reads one text",
        ),
        (config(step(), start="none"), r"start: .*'human'"),
        (config(step(), start={"type": "several"}), r"start: expected human, or a mapping with type: seq2seq or prompted"),
        ({"type": "promted"}, r"rewriter: expected none, human, or a mapping with type: seq2seq, prompted or several"),
        (7, r"rewriter: expected none, human, or a mapping"),
        ("humn", r"rewriter: .*'human'"),
        ({**config(step()), "model": {"type": "server"}}, r"model\.server\.model: |model\.model: "),
    ],
)
def test_nonsense_is_refused_in_one_line_that_names_its_place(values: Any, message: str) -> None:
    with pytest.raises(UsageError, match=r"^system\.yaml: rewriter.*") as caught:
        rewriter_config(values)
    assert caught.match(message)
    assert "\n" not in str(caught.value)


def test_a_configuration_survives_being_written_out() -> None:
    values = config(step(), start=config(step("first"), question="{first}"), query=["{rewrite}", "{start}"])
    read = rewriter_config(values)
    assert rewriter_config(read.model_dump()) == read
    several = rewriter_config({"type": "several", "rewriters": {"a": "none", "b": values}})
    assert rewriter_config(several.model_dump()) == several


@pytest.mark.parametrize("aggregation", ["first", "max-probability"])
def test_one_sample_is_kept_so_that_steps_may_be_mixed(aggregation: str) -> None:
    values = config(step(samples=2), step("response", samples=3), query=["{rewrite} {response}"], aggregation=aggregation)
    assert rewriter_config(values).combine == "mean"
