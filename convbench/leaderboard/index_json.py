"""``index.json``: everything on the leaderboards for machines, with a version and a schema (``docs/schemas/leaderboard.schema.json``)."""

from __future__ import annotations

import json
from typing import Any, Literal

from convbench.config import Config
from convbench.exchange.published import Published
from convbench.leaderboard.board import Board, TrackBoard
from convbench.leaderboard.card import Card
from convbench.leaderboard.entries import Entry, Scored
from convbench.leaderboard.standings import Section
from convbench.leaderboard.track import Side, Track
from convbench.leaderboard.verified import Verified


class IndexRow(Config):
    """A place in the standings.

    Attributes:
        id: Of the submission.
        section: Whether it competes: ``competing``, ``contaminated`` or ``reference``.
        letters: Two that share a letter are not told apart; empty where it does not compete, or where there would be more than 26 letters.
        apart: From how many others of those that compete it is told apart; null where it does not compete.
        value: By the ranking measure, a fraction.
    """

    id: str
    section: Section
    letters: str
    apart: int | None
    value: float | None


class IndexStandings(Config):
    """The standings of one side, best first within each section."""

    side: Side
    by: str
    higher_is_better: bool
    rows: tuple[IndexRow, ...]


class IndexSubmission(Config):
    """A submission.

    Attributes:
        id: Its folder's name.
        status: ``scored``, ``refused``, ``pending`` or ``unreadable``.
        reasons: Why it is not scored.
        card: What its makers say of it; ``card.scores`` is what they claim.
        verified: What was measured; null where it is not scored.
    """

    id: str
    status: Literal["scored", "refused", "pending", "unreadable"]
    reasons: tuple[str, ...] = ()
    card: Card | None
    verified: Verified | None = None


class IndexTrack(Config):
    """A track with its standings and submissions."""

    track: Track
    standings: tuple[IndexStandings, ...]
    submissions: tuple[IndexSubmission, ...]


class Index(Config):
    """The file.

    Attributes:
        schema_version: Grows when a reader of an earlier one would misread it.
        tracks: By dataset, then by name.
        reported: Dataset -> what papers report, in per cent; none of it was measured here.
    """

    schema_version: Literal[1] = 1
    tracks: tuple[IndexTrack, ...]
    reported: dict[str, Published]


def index_of(board: Board) -> Index:
    """The index of a folder of leaderboards."""
    return Index(tracks=tuple(map(_track, board.tracks)), reported=board.reported)


def index_text(board: Board) -> str:
    """The file's text. It is ASCII: no name can turn the direction of what stands around it."""
    return json.dumps(index_of(board).model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


def index_schema() -> dict[str, Any]:
    """The JSON Schema of ``index.json``."""
    schema = Index.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _track(each: TrackBoard) -> IndexTrack:
    standings = tuple(
        IndexStandings(
            side=table.side,
            by=table.ranked.by,
            higher_is_better=table.higher_is_better,
            rows=tuple(
                IndexRow(
                    id=row.entry.id,
                    section=row.section,
                    letters=row.letters,
                    apart=row.apart[0] if row.apart else None,
                    value=row.value(table.ranked.by),
                )
                for row in table.rows
            ),
        )
        for table in each.standings
    )
    return IndexTrack(track=each.track, standings=standings, submissions=tuple(map(_submission, each.entries)))


def _submission(entry: Entry) -> IndexSubmission:
    if isinstance(entry, Scored):
        return IndexSubmission(id=entry.id, status="scored", card=entry.card, verified=entry.verified)
    return IndexSubmission(id=entry.id, status=entry.status, reasons=entry.reasons, card=entry.card)
