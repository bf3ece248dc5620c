"""The submissions of a track as the standings need them: those that were scored again, and the others with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convbench.config import load_config
from convbench.errors import ConvbenchError, DataError
from convbench.leaderboard import card as cards
from convbench.leaderboard import verified as results
from convbench.leaderboard.bound import digests_of, is_of, read_verified
from convbench.leaderboard.card import ID, Card
from convbench.leaderboard.places import submission_ids
from convbench.leaderboard.safe_read import look_through
from convbench.leaderboard.verified import Level, Verified

Status = Literal["refused", "pending", "unreadable"]


@dataclass(frozen=True, slots=True)
class Scored:
    """A submission whose scores count.

    Attributes:
        id: Its folder's name.
        card: Its manifest.
        verified: What was measured again.
        level: How far it is to be trusted.
    """

    id: str
    card: Card
    verified: Verified
    level: Level


@dataclass(frozen=True, slots=True)
class Unscored:
    """A submission that does not stand among the others.

    Attributes:
        id: Its folder's name, which may be any text.
        card: Its manifest; None where that cannot be read.
        status: ``refused`` by what verifying found, ``pending`` where the files as they are were not verified yet, ``unreadable`` where one
            is wrong.
        reasons: One line each.
    """

    id: str
    card: Card | None
    status: Status
    reasons: tuple[str, ...]


Entry = Scored | Unscored


def read_entries(root: Path, track: str) -> tuple[Entry, ...]:
    """The submissions of a track, by id; what is wrong with one keeps none of the others out."""
    return tuple(_entry(root, track, id_) for id_ in submission_ids(root, track))


def _entry(root: Path, track: str, id_: str) -> Entry:
    if not re.fullmatch(ID, id_):
        return Unscored(id_, None, "unreadable", ("the folder's name is no id: expected lower-case letters, digits, dots and dashes",))
    looked = look_through(root, track, id_)
    if looked.findings:  # its files are not to be opened: one may be a link, or a pipe that never ends
        return Unscored(id_, None, "unreadable", tuple(finding.message for finding in looked.findings))
    folder, card = looked.folder, None
    try:
        card = _card(folder / cards.FILE, track, id_)
        if not (folder / results.FILE).exists():
            return Unscored(id_, card, "pending", ("not verified yet",))
        verified = read_verified(folder)
    except (ConvbenchError, OSError) as error:
        said = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error).replace(f"{folder}/", "")
        return Unscored(id_, card, "unreadable", (said,))
    if not is_of(verified, digests_of(folder)):
        return Unscored(id_, card, "pending", ("changed since it was verified",))
    if verified.level is None:
        reasons = tuple(finding.message for finding in verified.findings if finding.severity == "refused")
        return Unscored(id_, card, "refused", reasons or ("no reason was kept",))
    return Scored(id_, card, verified, verified.level)


def _card(path: Path, track: str, id_: str) -> Card:
    card = load_config(Card, path)
    for key, found, expected in (("id", card.id, id_), ("track", card.track, track)):
        if found != expected:
            raise DataError(path, f"found {found!r:.80}, expected {expected!r}, as its folder is called", where=key)
    return card
