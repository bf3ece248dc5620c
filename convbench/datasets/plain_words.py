"""Texts without what does not matter when they are compared: case, punctuation and blanks."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")


def plain_words(text: str) -> str:
    """The words of a text, case-folded, one blank between them; empty where there are none."""
    return " ".join(_WORD.findall(text.casefold()))


def holds_words(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text as whole words; both are plain words, and an empty phrase stands in none."""
    return bool(phrase) and f" {phrase} " in f" {text} "
