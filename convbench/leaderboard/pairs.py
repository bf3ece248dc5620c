"""Scores of texts that were compared before, by text pair and signature: the same response to the same references is compared once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

from convbench.datasets.store import PassageStore
from convbench.harness.placed import PlacedPart, reads_passages
from convbench.harness.plan import split_batches
from convbench.io.digests import value_sha256
from convbench.metrics.base import Against, ConversationMetric, Metric
from convbench.metrics.responses import references_of, response_of
from convbench.metrics.signatures import parsed
from convbench.systems.base import Unit
from convbench.types import Score, Turn, TurnRecord

FAMILIES = ("rouge", "bertscore")
"""Families whose values depend on response and references alone, and take longer to compute than to look up."""

_ASKED = 500
"""Keys of one question to the database; SQLite takes 999 at least."""

Values: TypeAlias = list[tuple[float | None, str | None]]
"""(value, reason) of each measure of a family."""


class PairCache:
    """Values by the digest of what they were computed from, in an SQLite file that several processes may use at once.

    It is only a shortcut: where it cannot be read or written, everything is computed.

    Args:
        file: The database.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def known(self, keys: Sequence[str]) -> dict[str, Values]:
        """What is known of some keys."""
        found: dict[str, Values] = {}
        with suppress(sqlite3.Error, OSError, ValueError), closing(self._open()) as database:
            for start in range(0, len(keys), _ASKED):
                asked = keys[start : start + _ASKED]
                marks = ",".join("?" * len(asked))
                rows = database.execute(f"SELECT key, value FROM pairs WHERE key IN ({marks})", asked)  # noqa: S608 - marks only
                found |= {key: [(value, reason) for value, reason in json.loads(text)] for key, text in rows}
        return found

    def add(self, values: Mapping[str, Values]) -> None:
        """Remembers values."""
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        with suppress(sqlite3.Error, OSError), closing(self._open()) as database, database:
            database.executemany("INSERT OR IGNORE INTO pairs VALUES (?, ?)", rows)

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._file, timeout=60)
        database.execute("PRAGMA synchronous = OFF")  # what a crash of the machine takes is computed again
        database.execute("CREATE TABLE IF NOT EXISTS pairs (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        return database


def scores_of(placed: PlacedPart, records: Mapping[str, TurnRecord], store: PassageStore | None, pairs: PairCache | None) -> list[Score]:
    """The scores of a part's turns, as the harness has them; text pairs that were compared before are not compared again.

    Args:
        placed: The part.
        records: The run.
        store: The passages, for metrics that read them.
        pairs: Values of earlier pairs; None computes everything.
    """
    metric: Any = placed.part.metric
    if reads_passages(placed.part):
        metric.open_passages(store)
    if hasattr(metric, "prepare"):
        against = _against(metric)
        metric.prepare([text for turn in placed.turns for text in references_of(turn, against)])
    if pairs is None or metric.name not in FAMILIES or any(parsed(measure.signature).get("idf") == "yes" for measure in metric.measures()):
        return _computed(metric, placed.turns, records)
    return _looked_up(metric, placed.turns, records, pairs)


def _computed(metric: Metric, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
    unit: Unit = "conversation" if isinstance(metric, ConversationMetric) else "turn"
    return [score for batch in split_batches(turns, metric.batch_size, unit) for score in metric.score(batch, records)]


def _looked_up(metric: Metric, turns: Sequence[Turn], records: Mapping[str, TurnRecord], pairs: PairCache) -> list[Score]:
    measures, against = metric.measures(), _against(metric)
    signed = value_sha256([metric.name, metric.version, [measure.signature for measure in measures]])
    keys = {turn.id: value_sha256([signed, response_of(records, turn), references_of(turn, against)]) for turn in turns}
    known = pairs.known(list(dict.fromkeys(keys.values())))
    unknown = {keys[turn.id]: turn for turn in turns if keys[turn.id] not in known}
    fresh = _by_key(_computed(metric, list(unknown.values()), records), keys)
    pairs.add(fresh)
    values = known | fresh
    return [
        Score(turn.id, measure.name, value, reason)
        for turn in turns
        for measure, (value, reason) in zip(measures, values[keys[turn.id]], strict=True)
    ]


def _by_key(scores: Iterable[Score], keys: Mapping[str, str]) -> dict[str, Values]:
    values: dict[str, Values] = {}
    for score in scores:
        values.setdefault(keys[score.turn_id], []).append((score.value, score.reason))
    return values


def _against(metric: Any) -> Against:
    """Which texts a response metric compares with, as its signatures say it."""
    return "knowledge" if parsed(metric.measures()[0].signature).get("against") == "knowledge" else "response"
