"""Splitting passages into sentences without a model or a download."""

from __future__ import annotations

import re

_BOUNDARY = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Mt|Sr|Jr|Gen|Col|Capt|Lt|Sgt|Rev|Hon|No|vs|etc|e\.g|i\.e|cf|approx|ca|c|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|Inc|Ltd|Co|Corp|U\.S|U\.K|Ph\.D)\.$"
)


def split_sentences(text: str) -> list[str]:
    """Sentences of a text, in order, stripped; an abbreviation or a person's initial does not end one."""
    sentences: list[str] = []
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        candidate = text[start : boundary.end()].strip()
        if _ABBREVIATION.search(text[start : boundary.start()].rstrip("\"'”’)]")):
            continue
        sentences.append(candidate)
        start = boundary.end()
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences
