"""The submissions of a track as the standings need them: those that were scored again, and the others with the reason."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convbench.config import build_config, load_config
from convbench.errors import ConvbenchError, DataError
from convbench.exchange.strict_json import read_document
from convbench.leaderboard import card as cards
from convbench.leaderboard import verified as results
from convbench.leaderboard.card import ID, Card
from convbench.leaderboard.places import submission_folder, submission_ids
from convbench.leaderboard.verified import Level, Verified

_LARGEST = 32 << 20
"""Bytes of a ``verified.json``: a hundred times what one with every slicing has."""

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
        status: ``refused`` by what verifying found, ``pending`` where nothing was verified yet, ``unreadable`` where a file is wrong.
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
    folder = submission_folder(root, track, id_)
    if not re.fullmatch(ID, id_):
        return Unscored(id_, None, "unreadable", ("the folder's name is no id: expected lower-case letters, digits, dots and dashes",))
    card = None
    try:
        card = _card(folder / cards.FILE, track, id_)
        if not (folder / results.FILE).exists():
            return Unscored(id_, card, "pending", ("not verified yet",))
        verified = _verified(folder / results.FILE)
    except ConvbenchError as error:
        return Unscored(id_, card, "unreadable", (str(error).replace(f"{folder}/", ""),))
    if verified.level is None:
        reasons = tuple(finding.message for finding in verified.findings if finding.severity == "refused")
        return Unscored(id_, card, "refused", reasons or ("no reason was kept",))
    return Scored(id_, card, verified, verified.level)


def _card(path: Path, track: str, id_: str) -> Card:
    _check_file(path)
    card = load_config(Card, path)
    for key, found, expected in (("id", card.id, id_), ("track", card.track, track)):
        if found != expected:
            raise DataError(path, f"found {found!r:.80}, expected {expected!r}, as its folder is called", where=key)
    return card


def _verified(path: Path) -> Verified:
    _check_file(path)
    if path.stat().st_size > _LARGEST:
        raise DataError(path, f"larger than {_LARGEST >> 20} MiB; verify the submission again")
    verified = build_config(Verified, read_document(path), str(path))
    if not all(map(math.isfinite, _numbers(verified.model_dump()))):
        raise DataError(path, "a score is no finite number; verify the submission again")
    return verified


def _check_file(path: Path) -> None:
    """A link could lead out of the folder."""
    if path.is_symlink():
        raise DataError(path, "is a link, expected a file")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, float):
        yield value
