"""Texts for a terminal: nothing that it would obey, and no line wider than it.

Lines may hold colours (``click.style``); ``click.echo`` takes them out where the output is no terminal.
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

NARROWEST, WIDEST = 60, 140

Word = tuple[str, str]
"""A word and the name of its colour; empty for none."""


def terminal_width() -> int:
    """Columns to write in."""
    return max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))


def printable(text: str) -> str:
    """Any text on one line: white space becomes blanks, and what does not print (escape sequences, marks of direction) is escaped."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in " ".join(text.split()))


def printable_json(value: Any) -> str:
    """JSON on one line, in UTF-8, that can be shown on a terminal: what does not print stands as JSON's own escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def width_of(text: str) -> int:
    """Columns that a text takes: two for wide characters (East Asian, emoji), none for marks that combine with the one before."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else int(not unicodedata.combining(character)) for character in text)


def cut(text: str, width: int) -> str:
    """The beginning of a text that fits, with ``...`` where something is left out."""
    if width_of(text) <= width:
        return text
    kept, used = [], 3
    for character in text:
        used += width_of(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "..."


def padded(text: str, width: int) -> str:
    """A text cut to a width, or filled up with blanks."""
    shown = cut(text, width)
    return shown + " " * (width - width_of(shown))


def words_of(text: str, colour: str = "") -> list[Word]:
    """The words of a text, made printable."""
    return [(word, colour) for word in printable(text).split(" ")] if text.strip() else []


def filled(words: Iterable[Word], width: int) -> list[str]:
    """Lines of words; one that is wider than a line is broken."""
    import click

    lines: list[list[Word]] = [[]]
    used = 0
    for word, colour in words:
        for piece in _pieces(word, width):
            needed = width_of(piece) + bool(lines[-1])
            if lines[-1] and used + needed > width:
                lines.append([])
                used, needed = 0, width_of(piece)
            lines[-1].append((piece, colour))
            used += needed
    return [" ".join(click.style(word, fg=colour) if colour else word for word, colour in line) for line in lines if line]


def _pieces(word: str, width: int) -> Sequence[str]:
    if width_of(word) <= width:
        return [word]
    pieces, used = [""], 0
    for character in word:
        used += width_of(character)
        if used > width:
            pieces.append("")
            used = width_of(character)
        pieces[-1] += character
    return pieces
