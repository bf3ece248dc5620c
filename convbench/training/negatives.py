"""The file of hard negatives: a header line, then a line a turn."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from convbench.datasets.store import PassageStore
from convbench.errors import DataError
from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.io.records import Record

SCHEMA = "convbench.negatives/1"

Kind = Literal["retrieved", "earlier-gold"]
"""Where a negative comes from: the turn's ranking, or the gold passages of an earlier turn of its conversation."""


@dataclass(frozen=True, slots=True)
class Negative:
    """A passage that is taken for not relevant to a turn.

    Attributes:
        id: The passage.
        rank: Its rank in the turn's ranking, from 1; None where the ranking lacks it (only for ``earlier-gold``).
        score: Its score there; None where ``rank`` is.
        kind: Where it comes from.
    """

    id: str
    rank: int | None
    score: float | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class NegativesHeader:
    """What the negatives were mined from, and how.

    Attributes:
        dataset: The dataset's name.
        split: Its split.
        options: Its reading options.
        collection: ``origin``, ``sha256`` and number of ``passages`` of the collection.
        retriever: Whose rankings: ``name``, ``conditions`` and ``stages``, as the header of a run has them.
        query: The query view that was asked for; None: the retriever's own.
        depth: Ranks of every ranking that were looked at.
        skip: First ranks that were left out.
        count: Most negatives of each kind a turn.
        keep_answers: Whether passages that hold a reference response were kept.
        earlier_gold: Whether gold passages of earlier turns were taken.
        counts: Turns, negatives, and what was excluded and why (``docs/hard-negatives.md``).
    """

    dataset: str
    split: str
    options: Mapping[str, str]
    collection: Mapping[str, Any]
    retriever: Mapping[str, Any]
    query: str | None
    depth: int
    skip: int
    count: int
    keep_answers: bool
    earlier_gold: bool
    counts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The header as it stands in the file, its schema apart."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def write_negatives(path: Path, header: NegativesHeader, negatives: Mapping[str, tuple[Negative, ...]]) -> None:
    """Writes the file atomically.

    Args:
        path: The file.
        header: Its first line.
        negatives: Turn id -> its negatives, in the order of the file.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    with atomic_text(path) as handle:
        handle.write(dump_line({"schema": SCHEMA, **header.as_json()}))
        for turn_id, each in negatives.items():
            handle.write(dump_line({"turn_id": turn_id, "negatives": [asdict(negative) for negative in each]}))


def read_negatives(path: Path) -> tuple[NegativesHeader, dict[str, tuple[Negative, ...]]]:
    """Reads the file, plain or gzipped.

    Returns:
        The header, and turn id -> its negatives, in the order of the file.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is not what ``convbench train mine`` writes; the line and the field are named.
    """
    lines = (Record(path, value, line=line) for line, value in read_jsonl(path))
    first = next(lines, None)
    if first is None or first.values.get("schema") != SCHEMA:
        raise DataError(path, f"expected a header line of schema {SCHEMA!r}; make the file with `convbench train mine`", line=1)
    header = _header(first)
    negatives: dict[str, tuple[Negative, ...]] = {}
    for record in lines:
        turn_id = record.get("turn_id", str)
        if turn_id in negatives:
            raise record.error(f"turn {turn_id!r} appears twice")
        negatives[turn_id] = _negatives(record, turn_id)
    return header, negatives


def check_in_collection(path: Path, negatives: Mapping[str, tuple[Negative, ...]], store: PassageStore) -> None:
    """Checks that a collection holds every negative.

    Args:
        path: The file they were read from, for the message.
        negatives: Turn id -> its negatives.
        store: The collection.

    Raises:
        DataError: It lacks some; the first turn and passage are named.
    """
    ids = sorted({negative.id for each in negatives.values() for negative in each})
    absent = {id_ for id_, row in zip(ids, store.rows(ids).tolist(), strict=True) if row < 0}
    if absent:
        turn_id, id_ = next((turn_id, one.id) for turn_id, each in negatives.items() for one in each if one.id in absent)
        raise DataError(
            path,
            f"{len(absent)} of {len(ids)} negatives are not in the collection of {len(store)} passages "
            f"(first: {id_!r} of turn {turn_id!r}); mine them from this collection",
        )


def _header(record: Record) -> NegativesHeader:
    return NegativesHeader(
        dataset=record.get("dataset", str),
        split=record.get("split", str),
        options=_options(record),
        collection=_carried(record, "collection"),
        retriever=_carried(record, "retriever"),
        query=record.get("query", str) if record.values.get("query") is not None else None,
        depth=_at_least(record, "depth", 1),
        skip=_at_least(record, "skip", 0),
        count=_at_least(record, "count", 1),
        keep_answers=record.get("keep_answers", bool),
        earlier_gold=record.get("earlier_gold", bool),
        counts=_carried(record, "counts"),
    )


def _options(record: Record) -> dict[str, str]:
    options = _carried(record, "options")
    for name, value in options.items():
        if not isinstance(value, str):
            raise record.error(f"field 'options', {name!r}: expected a string, found {type(value).__name__} {value!r:.60}")
    return options


def _carried(record: Record, field: str) -> dict[str, Any]:
    """An object that is kept as it is; it must fit into a file again."""
    values = record.get(field, dict)
    try:
        text = dump_line(values)
    except ValueError:
        raise record.error(f"field {field!r} holds a number that is not finite") from None
    record.check_text(field, text)
    return values


def _at_least(record: Record, field: str, least: int) -> int:
    value = record.get(field, int)
    if value < least:
        raise record.error(f"field {field!r}: expected at least {least}, found {value!r:.40}")
    return value


def _negatives(record: Record, turn_id: str) -> tuple[Negative, ...]:
    found: dict[str, Negative] = {}
    for item in record.records("negatives"):
        negative = _negative(item)
        if negative.id in found:
            raise item.error(f"turn {turn_id!r}: passage {negative.id!r} appears twice")
        found[negative.id] = negative
    return tuple(found.values())


def _negative(record: Record) -> Negative:
    id_, kind = record.get("id", str), record.get("kind", str)
    if kind not in get_args(Kind):
        raise record.error(f"field 'kind': expected {' or '.join(get_args(Kind))}, found {kind!r:.60}")
    rank, score = record.values.get("rank"), record.values.get("score")
    if rank is None and score is None and kind == "earlier-gold":
        return Negative(id_, None, None, "earlier-gold")
    rank = _at_least(record, "rank", 1)
    if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) <= sys.float_info.max:
        raise record.error(f"field 'score': expected a finite number, found {score!r:.60}")
    return Negative(id_, rank, float(score), cast(Kind, kind))
