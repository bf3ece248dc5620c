from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from convbench.errors import UsageError
from convbench.types import Passage
from convbench.views.session import Utterance
from convbench.writing import prompts
from convbench.writing.prompts import PromptConfig, abstains, check_prompt, extracted, messages, prompt_names, read_prompt

BASE = {"version": 1, "source": "none", "user": "{history}\n\n{passages}\n\nAnswer {question}"}
EARLIER = (Utterance("user", "Who built it?"), Utterance("agent", "The {question} guild."))


def prompt(**values: Any) -> PromptConfig:
    return read_prompt({**BASE, **values})


def asked(of: PromptConfig, **extra: str) -> str:
    return messages(of, question="When?", earlier=EARLIER, **extra)[-1][1]


def test_everything_has_its_place() -> None:
    passages = [Passage("a", "It burned in {history}.", "Town [SEP] Fire"), Passage("b", "Rain.")]
    found = messages(
        prompt(system=" Be short. ", examples=[{"user": "2 {question}?", "assistant": "4"}]),
        question="When?",
        earlier=EARLIER,
        passages=passages,
    )
    assert found == (
        ("system", "Be short."),
        ("user", "2 {question}?"),
        ("assistant", "4"),
        (
            "user",
            "User: Who built it?\nSystem: The {question} guild.\n\n[1] Town Fire: It burned in {history}.\n[2] Rain.\n\nAnswer When?",
        ),
    )


def test_braces_in_a_turns_texts_are_no_placeholders() -> None:
    found = messages(prompt(user="{question} {rewrite} {question}"), question="{rewrite}", rewrite="{question}")
    assert found == (("user", "{rewrite} {question} {rewrite}"),)


def test_the_history_is_written_as_the_prompt_says() -> None:
    form = {"user": "Q: {text}", "agent": "A: {text}", "separator": " | "}
    assert asked(prompt(user="{history}", session=form)) == "Q: Who built it? | A: The {question} guild."
    newest = {**form, "order": "newest-first"}
    assert asked(prompt(user="{history}", session=newest)) == "A: The {question} guild. | Q: Who built it?"
    assert messages(prompt(user="<{history}> {question}"), question="Q")[-1][1] == "<> Q"


@pytest.mark.parametrize(
    ("form", "titled", "bare"),
    [
        ("[{rank}] {title}: {text}", "[1] T: x", "[1] x"),
        ("{title}\n{text} ({rank})", "T\nx (1)", "x (1)"),
        ("{rank} {title} - {text}", "1 T - x", "1 x"),
    ],
)
def test_a_passage_without_a_title_leaves_no_gap(form: str, titled: str, bare: str) -> None:
    asked_with = prompt(user="{passages}", passage=form)
    for title, expected in (("T", titled), ("", bare)):
        assert messages(asked_with, question="", passages=[Passage("p", "x", title)])[-1][1] == expected


def test_a_placeholder_that_nothing_fills_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"the placeholder \{rewritte\}\. Did you mean 'rewrite'\? Known here: .*\{passages\}"):
        asked(prompt(user="{question} {rewritte}"), rewrite="x")
    check_prompt(prompt(user="{question} {rewrite} {not one} {1}"), ["rewrite"])
    with pytest.raises(UsageError, match="twostage: nothing fills in"):
        check_prompt(prompt(system="{who}"), origin="twostage")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"user": "no placeholder"}, "must hold a placeholder"),
        ({"passage": "{title}"}, r"must hold \{text\} once"),
        ({"passage": "{text} {score}"}, r"must hold \{text\} once"),
        ({"extract": "("}, "is no regular expression"),
        ({"extract": "a (b)"}, r"must hold the group"),
        ({"abstain": " ... "}, "must be a sentence"),
        ({"system": "Else say {abstain}"}, "says no sentence"),
        ({"version": 0}, "version"),
        ({"usr": "x"}, "Did you mean 'user'"),
        ({"session": {"user": "{text}{text}"}}, r"must hold \{text\} once"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused(values: dict[str, Any], found: str) -> None:
    with pytest.raises(UsageError, match=found) as caught:
        prompt(**values)
    assert "\n" not in str(caught.value)


def test_what_is_used_of_an_answer() -> None:
    assert extracted(prompt(), "  all of it\n") == "all of it"
    marked = prompt(extract=r"(?i)rewrite:\s*(?P<text>.+)")
    assert extracted(marked, "It is about the mill.\nRewrite: Who built\nthe mill? ") == "Who built\nthe mill?"
    assert extracted(marked, "I would not rewrite this.") == ""
    assert extracted(prompt(extract="(?P<text>x)?"), "y") == ""


def test_declining() -> None:
    declines = prompt(system="Or say: {abstain}", abstain="I do not know.")
    assert messages(declines, question="Q")[0] == ("system", "Or say: I do not know.")
    assert abstains(declines, " i do NOT know\n")
    assert abstains(declines, "**I do not know.** The passages say nothing of it.")
    assert not abstains(declines, "I do not knowingly say so.")
    assert not abstains(declines, "I do not know, but it may have been 1851.")
    assert not abstains(declines, "The guild. I do not know more.")
    assert not abstains(prompt(), "I do not know.")
    assert abstains(declines, "I do not know... The passages say nothing of it.")


def test_a_long_row_of_dots_takes_no_time() -> None:
    declines = prompt(abstain="I do not know.")
    started = time.process_time()
    assert not abstains(declines, "a" + "." * 50_000 + "b")
    assert time.process_time() - started < 5


def test_prompts_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hyde.yaml").write_text("version: 3\nsource: a paper\nuser: Write about {question}\n", encoding="utf-8")
    monkeypatch.setattr(prompts, "_FOLDER", tmp_path)
    assert prompt_names() == ["hyde"]
    assert read_prompt("hyde").version == 3
    with pytest.raises(UsageError, match=r"unknown prompt 'hyd'\. Did you mean 'hyde'\? Known: hyde"):
        read_prompt("hyd")
    with pytest.raises(UsageError, match=r"unknown prompt '\.\./hyde'"):
        read_prompt("../hyde")


@pytest.mark.parametrize("name", prompt_names())
def test_prompts_that_come_with_convbench_can_be_read(name: str) -> None:
    assert read_prompt(name).source
