"""Names as people read them: characters that do not show, and names that look like one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

from convbench.leaderboard.verified import Finding

if TYPE_CHECKING:
    from convbench.leaderboard.card import Card

LONGEST = 120
"""Characters of something that was found, in a message."""

_LAYOUT = "\t\n"
# Controls, formats (bidirectional overrides, zero-width characters), surrogates, private use, line and paragraph separators.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
# What is called a letter, a mark or a symbol and shows nothing: fillers, joiners, variation selectors, the empty Braille pattern.
_EMPTY = frozenset(
    map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)))
)

# Letters of other scripts that look like a Latin letter, and Latin characters that look like each other; capitals only where they look
# like another letter than their small form. Compatibility forms (full width, mathematical, ligatures) are left to NFKC.
_LIKE = {
    "a": "аαɑ", "b": "вβь", "c": "сϲᴄ", "d": "ԁɗ", "e": "еεҽ", "f": "ғƒ", "g": "ɡԍց", "h": "һнհΗ", "j": "јϳ", "k": "кκқ",
    "l": "1i|ӏіıɩιǀ", "m": "мΜ", "n": "пոπηΝ", "o": "0оοσօө", "p": "рρ", "q": "ԛզ", "r": "гᴦ", "s": "ѕꜱ", "t": "тτ", "u": "μυս",
    "v": "νѵ", "w": "ԝшωѡ", "x": "хχ×", "y": "уγүʏΥ", "z": "ζᴢ", "3": "зʒɜ", "-": "_‐‑‒–—―−",
}  # fmt: skip
_FOLD = str.maketrans({other: one for one, others in _LIKE.items() for other in others})


def unseen_character(text: str, *, lines: bool = False) -> str | None:
    """The first character that does not show, or changes how others show, as ``U+202E (RIGHT-TO-LEFT OVERRIDE)``; None: there is none.

    Args:
        text: The text.
        lines: Whether it may have several lines.
    """
    for character in text:
        unseen = unicodedata.category(character) in _UNSEEN or character in _EMPTY
        if unseen and not (lines and character in _LAYOUT):
            name = unicodedata.name(character, "")
            return f"U+{ord(character):04X}{f' ({name})' if name else ''}"
    return None


def printable(text: str) -> str:
    """A text that was found, for a message: one line, no longer than needed, whatever does not show escaped."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cut)


def skeleton(name: str) -> str:
    """What is left of a name when everything is taken away that a reader may overlook; names with one skeleton look alike.

    The procedure is that of Unicode's confusable detection (UTS #39) with a smaller table, of Latin, Cyrillic and Greek, and a coarser one:
    case, accents, blanks and the kind of dash do not count either.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).translate(_FOLD).casefold())
    letters = "".join(character for character in plain if not unicodedata.combining(character) and not character.isspace())
    return letters.translate(_FOLD)


def name_clashes(cards: Mapping[str, Card]) -> dict[str, Finding]:
    """The submissions of a track that have another one's name, or one that looks like it.

    Of several that look alike one keeps the name: that with the fewest characters outside ASCII, as who imitates a name needs those; then
    the earliest; then the first by id. So what a track already has is not disturbed by what is added to it under a similar name.

    Args:
        cards: Submission -> its card; best without those that are refused for something else, so that they take no name from others.

    Returns:
        Submission -> the finding, for all but those that keep their name.
    """
    alike: dict[str, list[str]] = {}
    for submission, card in cards.items():
        alike.setdefault(skeleton(card.name), []).append(submission)
    found = {}
    for group in alike.values():
        first, *others = sorted(group, key=lambda id_: (_foreign(cards[id_].name), cards[id_].submitted, id_))
        for submission in others:
            name, other = cards[submission].name, cards[first].name
            how = "is also the name" if name == other else f"looks like {other!a}, the name"
            message = f"manifest.yaml: name: {name!a} {how} of the submission {first}; choose another name"
            found[submission] = Finding(check="name-taken", severity="refused", message=message)
    return found


def _foreign(name: str) -> int:
    return sum(not character.isascii() for character in name)
