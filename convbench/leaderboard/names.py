"""Names as people read them: characters that do not show, and names that look like one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from convbench.leaderboard.look_alikes import is_ignorable, look
from convbench.leaderboard.verified import Finding

if TYPE_CHECKING:
    from convbench.leaderboard.card import Card

LONGEST = 120
"""Characters of something that was found, in a message."""

_LAYOUT = "\t\n"
_NON_JOINER, _JOINER, _EMOJI_SELECTOR = "\u200c", "\u200d", "\ufe0f"
# Controls, formats (bidirectional overrides, zero-width characters), surrogates, private use, line and paragraph separators.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


def unseen_character(text: str, *, lines: bool = False, joined: bool = False) -> str | None:
    """The first character that does not show, or changes how others show, as ``U+202E (RIGHT-TO-LEFT OVERRIDE)``; None: there is none.

    Args:
        text: The text.
        lines: Whether it may have several lines.
        joined: Whether it may hold what some scripts and emoji are written with: a joiner or non-joiner between two letters or two emoji,
            and the selector that makes a symbol an emoji. A name may not, as one that differs in these looks the same.
    """
    for place, character in enumerate(text):
        unseen = unicodedata.category(character) in _UNSEEN or is_ignorable(character)
        if unseen and not (lines and character in _LAYOUT) and not (joined and _joins(text, place)):
            name = unicodedata.name(character, "")
            return f"U+{ord(character):04X}{f' ({name})' if name else ''}"
    return None


def _joins(text: str, place: int) -> bool:
    """Whether a character that does not show stands where writing needs it."""
    before, after = text[:place].rstrip(_EMOJI_SELECTOR)[-1:], text[place + 1 : place + 2]
    if text[place] == _EMOJI_SELECTOR:
        return _is_symbol(text[place - 1 : place])
    if text[place] not in (_NON_JOINER, _JOINER) or not (before and after):
        return False
    return (_is_joined_letter(before) and _is_joined_letter(after)) or (text[place] == _JOINER and _is_symbol(before) and _is_symbol(after))


def _is_joined_letter(character: str) -> bool:
    """A letter, or a sign on one, of a script that has joiners: none of them is Latin, Greek or Cyrillic."""
    return unicodedata.category(character) in ("Lo", "Lm", "Mn", "Mc")


def _is_symbol(character: str) -> bool:
    """An emoji, or a modifier of its colour or kind."""
    return bool(character) and unicodedata.category(character) in ("So", "Sk", "Sm")


def printable(text: str) -> str:
    """A text that was found, for a message: one line, no longer than needed, whatever does not show escaped."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cut)


def skeleton(name: str) -> str:
    """What is left of a name when everything is taken away that a reader may overlook; names with one skeleton look alike."""
    return "".join(look(name).replace("'", "").split())


def name_clashes(cards: Mapping[str, Card], accepted: Collection[str] = ()) -> dict[str, Finding]:
    """The submissions of a track that have another one's name, or one that looks like it.

    Who was accepted keeps the name, whatever day or name a newcomer gives. Of several newcomers that look alike one gets it: that with the
    fewest characters outside ASCII, as who imitates a name needs those; then the earliest; then the first by id. Where two were accepted,
    both are marked and none is refused.

    Args:
        cards: Submission -> its card; best without those that are refused for something else, so that they take no name from others.
        accepted: Those that were verified before, as they are now, see ``bound.accepted``.

    Returns:
        Submission -> the finding, for all but those that keep their name, and unmarked.
    """
    alike: dict[str, list[str]] = {}
    for submission, card in cards.items():
        alike.setdefault(skeleton(card.name), []).append(submission)
    found = {}
    for group in alike.values():
        first, *others = sorted(group, key=lambda id_: (id_ not in accepted, _foreign(cards[id_].name), cards[id_].submitted, id_))
        standing = [submission for submission in others if submission in accepted]
        if standing:
            found[first] = _shared(first, standing[0], cards)
        for submission in others:
            found[submission] = (_shared if submission in standing else _taken)(submission, first, cards)
    return found


def _taken(submission: str, first: str, cards: Mapping[str, Card]) -> Finding:
    message = f"{_alike(submission, first, cards)}; choose another name"
    return Finding(check="name-taken", severity="refused", message=message)


def _shared(submission: str, other: str, cards: Mapping[str, Card]) -> Finding:
    message = f"{_alike(submission, other, cards)}; both were accepted before"
    return Finding(check="name-shared", severity="flag", message=message)


def _alike(submission: str, other: str, cards: Mapping[str, Card]) -> str:
    name, theirs = cards[submission].name, cards[other].name
    how = "is also the name" if name == theirs else f"looks like {theirs!a}, the name"
    return f"manifest.yaml: name: {name!a} {how} of the submission {other}"


def _foreign(name: str) -> int:
    return sum(not character.isascii() for character in name)
