"""What rewriters make of the texts that a model wrote: the parts that are used, what they cost, and why there is none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from convbench.writing.base import Text
from convbench.writing.prompts import PromptConfig, abstains, extracted

TOKENS_IN, TOKENS_OUT = "rewrite_tokens_in", "rewrite_tokens_out"


def usage_of(texts: Iterable[Text]) -> Counter[str]:
    """Tokens read and written; each of several samples has read the whole prompt, and one that is repeated counts once."""
    usage = Counter({TOKENS_IN: 0, TOKENS_OUT: 0})
    for text in {id(text): text for text in texts}.values():
        usage.update({TOKENS_IN: text.tokens_in, TOKENS_OUT: text.tokens_out})
    return usage


def added(usages: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums of several rewriters' counts."""
    total: Counter[str] = Counter()
    for usage in usages:
        total.update(usage)
    return dict(total)


def part_names(step: str, prompt: PromptConfig) -> tuple[str, ...]:
    """The names of an answer's parts: the step's own for the text, and those of the other groups of the prompt's ``extract``."""
    groups = re.compile(prompt.extract).groupindex if prompt.extract else {}
    return (step, *(group for group in groups if group != "text"))


def parts(step: str, prompt: PromptConfig, answer: str) -> dict[str, str] | None:
    """The parts of an answer by their names; None where it is not as the prompt asks for, or declines."""
    text = "" if abstains(prompt, answer) else extracted(prompt, answer)
    if not text:
        return None
    found = re.search(prompt.extract, answer, re.DOTALL) if prompt.extract else None
    groups = found.groupdict() if found else {}
    return {step: text} | {group: (part or "").strip() for group, part in groups.items() if group != "text"}


def why_unusable(texts: Iterable[Text]) -> str:
    """Why none of some texts can be used."""
    return "; ".join(sorted({_why_unusable(text) for text in texts})) or "no text"


def _why_unusable(text: Text) -> str:
    if text.failure:
        return text.failure
    return "not the form that was asked for" if text.text else f"no text ({text.finish_reason})"
