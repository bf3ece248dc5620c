"""``scores.jsonl``: every measure of every turn, a line each."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.io.records import Record
from convbench.types import Score


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Writes ``scores.jsonl`` atomically: a line a turn and measure, metric by metric."""
    with atomic_text(path) as handle:
        for score in scores:
            handle.write(dump_line(_score_json(score)))


def read_scores(path: Path) -> list[Score]:
    """Reads ``scores.jsonl``.

    Raises:
        DataError: A line is malformed.
    """
    scores = []
    for line, value in read_jsonl(path):
        record = Record(path, value, line=line)
        number = value.get("value")
        if number is not None and not _is_finite(number):
            raise record.error(f"field 'value': expected a finite number or null, found {number!r:.40}")
        texts = (record.get("turn_id", str), record.get("measure", str))
        scores.append(Score(*texts, number, record.optional("reason", str, "") or None, record.optional("protocol", str, "")))
    return scores


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _score_json(score: Score) -> dict[str, Any]:
    line: dict[str, Any] = {"turn_id": score.turn_id, "protocol": score.protocol, "measure": score.measure, "value": score.value}
    return line | {"reason": score.reason} if score.reason else line
