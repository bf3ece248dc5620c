"""Text for a terminal that keeps its blanks, so that it can be copied: nothing in it that a terminal would obey."""

from __future__ import annotations


def shown(text: str, keep: str = "") -> str:
    """What does not print (escape sequences, line ends, bytes that are no UTF-8) is escaped, but for the characters of ``keep``."""
    return "".join(character if character.isprintable() or character in keep else ascii(character)[1:-1] for character in text)
