"""What changed between two texts, word by word: ``[-removed-] {+added+}``."""

from __future__ import annotations

from difflib import SequenceMatcher

from convbench.report.terminal import Word, words_of

ALIKE = 0.3
"""Texts that share fewer words than this (2 × shared / all) are two texts, not a changed one."""

_CONTEXT = 3
_LONGEST = 1_000
"""Words that are compared: the time grows with their square."""


def word_diff(first: str, second: str) -> list[Word] | None:
    """The second text with what was removed and added marked; long stretches that stayed are shortened.

    Returns:
        Words, red where removed and green where added; None where the texts are the same, too long, or not alike.
    """
    ours, theirs = ([word for word, _ in words_of(text)] for text in (first, second))
    if ours == theirs or not ours or not theirs or max(len(ours), len(theirs)) > _LONGEST:
        return None
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if matcher.ratio() < ALIKE:
        return None
    words: list[Word] = []
    for kind, start, end, begin, stop in matcher.get_opcodes():
        if kind == "equal":
            words += _shortened([(word, "") for word in ours[start:end]], at_start=start == 0, at_end=end == len(ours))
        if kind in ("delete", "replace"):
            words += _marked(ours[start:end], "[-", "-]", "red")
        if kind in ("insert", "replace"):
            words += _marked(theirs[begin:stop], "{+", "+}", "green")
    return words


def _marked(words: list[str], opening: str, closing: str, colour: str) -> list[Word]:
    marked = [*words]
    marked[0] = opening + marked[0]
    marked[-1] += closing
    return [(word, colour) for word in marked]


def _shortened(words: list[Word], *, at_start: bool, at_end: bool) -> list[Word]:
    """Some words of context beside a change."""
    before, after = 0 if at_start else _CONTEXT, 0 if at_end else _CONTEXT
    if len(words) <= before + after + 1:
        return words
    return [*words[:before], ("...", ""), *words[len(words) - after :]]
