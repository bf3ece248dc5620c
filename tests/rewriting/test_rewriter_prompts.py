from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rewriting.conversations import SAID, rewriter_config

from convbench.rewriting.answers import part_names, parts
from convbench.rewriting.prompted_config import PromptedConfig
from convbench.rewriting.seq2seq import Seq2SeqRewriterConfig
from convbench.rewriting.several import SeveralConfig
from convbench.writing.prompts import messages, prompt_names, read_prompt

GUIDE = Path(__file__).parents[2] / "docs" / "rewriters.md"
OURS = [name for name in prompt_names() if name.split("-")[0] in ("llm4cs", "iqr", "chiq", "hyde")]


def guide_configs() -> Iterator[Any]:
    for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        document = yaml.safe_load(block)
        yield document.get("rewriter", document)


def prompts_of(config: Any) -> set[str]:
    if isinstance(config, PromptedConfig):
        return {step.prompt for step in config.steps if isinstance(step.prompt, str)}
    return set().union(*map(prompts_of, config.rewriters.values())) if isinstance(config, SeveralConfig) else set()


def test_the_guide_s_rewriters_are_accepted_and_use_or_name_every_prompt() -> None:
    configs = [rewriter_config(values) for values in guide_configs()]
    assert [type(config) for config in configs[1:4]] == [Seq2SeqRewriterConfig] * 3
    assert len(configs) == 12
    used = set().union(*map(prompts_of, configs))
    assert {name for name in OURS if f"`{name}`" not in GUIDE.read_text(encoding="utf-8")} <= used


@pytest.mark.parametrize("name", OURS)
def test_prompts_are_one_user_message_that_holds_the_turn(name: str) -> None:
    prompt = read_prompt(name)
    given = {"start", "rewrite", "last_question", "last_response", "summary", "expansion", "clear", "response"}
    texts = {placeholder: f"<{placeholder}>" for placeholder in given}
    [(role, text)] = messages(prompt, question="<question>", earlier=SAID, **texts)
    assert role == "user"
    assert all(f"<{placeholder}>" in text for placeholder in prompt.placeholders - {"history"})
    assert ("How tall is it?" in text) == ("history" in prompt.placeholders)


@pytest.mark.parametrize("kind", ["zero-shot", "few-shot"])
def test_iqr_writes_its_context_as_published(kind: str) -> None:
    [(_, text)] = messages(read_prompt(f"iqr-{kind}"), question="Is she buried there?", earlier=SAID)
    assert text.endswith(
        "\n\nContext: [Q: Who built the Dune lighthouse? A: Ada Brook built it in 1871. Q: How tall is it? A: It is 38 metres tall.]\n"
        "Question: Is she buried there?\nRewrite:"
    )
    assert text.count("\nContext: [") == (5 if kind == "few-shot" else 1)


def test_iqr_edit_ends_with_the_rewrite_to_edit() -> None:
    [(_, text)] = messages(read_prompt("iqr-edit"), question="Is she there?", start="Is Ada Brook there?", earlier=SAID)
    assert text.endswith("\nQuestion: Is she there?\nRewrite: Is Ada Brook there?\nEdit:")
    assert text.count("\nEdit:") == 5


def test_llm4cs_writes_the_conversation_as_published() -> None:
    [(_, text)] = messages(read_prompt("llm4cs-rar-cot"), question="Is she buried there?", earlier=SAID)
    assert (
        "Question: Who built the Dune lighthouse?\nResponse: Ada Brook built it in 1871.\nQuestion: How tall is it?\n"
        "Response: It is 38 metres tall.\n\nCurrent question: Is she buried there?"
    ) in text
    assert text.count("\nReason: ") == 7  # of every example, and in the form that is asked for


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("llm4cs-rew", "Rewrite: Is Ada Brook buried in Dune?", {"x": "Is Ada Brook buried in Dune?"}),
        ("llm4cs-rew", "Rewrite: a?\nResponse: more", {"x": "a?"}),
        ("llm4cs-rew", "Is Ada Brook buried in Dune?", None),
        ("llm4cs-rew", "Rewrite:\n", None),
        ("llm4cs-rew-cot", 'Reason: "she" is Ada.\nRewrite: Is Ada there?', {"x": "Is Ada there?"}),
        ("llm4cs-rew-cot", "Reason: it is unclear, so I cannot rewrite: sorry", None),
        ("llm4cs-rar", "Rewrite: a?\nResponse: b.\n\nc.", {"x": "a?", "response": "b.\n\nc."}),
        ("llm4cs-rar", "Rewrite: a?\n\nResponse: b.", {"x": "a?", "response": "b."}),
        ("llm4cs-rar", "Rewrite: a?", None),
        ("llm4cs-rar-cot", "Reason: r\nRewrite: a?\nResponse: b", {"x": "a?", "response": "b"}),
        ("llm4cs-rtr", "Response: b\nc", {"x": "b\nc"}),
        ("llm4cs-rtr", "b", None),
        ("iqr-few-shot", "Is Ada Brook buried there?", {"x": "Is Ada Brook buried there?"}),
        ("iqr-few-shot", "Rewrite: Is Ada Brook buried there?\n", {"x": "Is Ada Brook buried there?"}),
        ("iqr-few-shot", "There is no clear question.", None),
        ("iqr-zero-shot", "N/A - is it complete?", None),
        ("iqr-edit", "No edit needed, is it?", None),
        ("iqr-edit", "Edit: Is Ada Brook buried there?", {"x": "Is Ada Brook buried there?"}),
        ("chiq-topic", "I would say new_topic.", {"x": "new_topic"}),
        ("chiq-topic", "It goes on.", None),
        ("chiq-question", "Here it is:\n\nIs Ada Brook there?", {"x": "Is Ada Brook there?"}),
        ("chiq-question", "Is Ada, in the given context, there?", None),
        ("chiq-question", "Ada Brook.", None),
        ("chiq-expansion", "Ada Brook built it.", {"x": "Ada Brook built it."}),
        ("chiq-expansion", "As mentioned, Ada did.", None),
        ("chiq-response", "Answer: in Dune.", {"x": "in Dune."}),
        ("chiq-summary", " Ada built it. \n", {"x": "Ada built it."}),
        ("chiq-query", "Sure.\nQuery: grave of Ada Brook\n\nNote: ...", {"x": "grave of Ada Brook"}),
        ("hyde", "Passage: Ada Brook is buried\nin Dune.", {"x": "Ada Brook is buried\nin Dune."}),
    ],
)
def test_what_is_used_of_an_answer(name: str, answer: str, expected: dict[str, str] | None) -> None:
    prompt = read_prompt(name)
    assert parts("x", prompt, answer) == expected
    assert expected is None or tuple(expected) == part_names("x", prompt)
