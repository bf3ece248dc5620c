"""``scores.jsonl``: every measure of every turn, a line each."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from json.encoder import encode_basestring
from math import isfinite
from pathlib import Path
from typing import Any

from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.io.records import Record
from convbench.types import Score


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Writes ``scores.jsonl`` atomically: a line a turn and measure, metric by metric."""
    measures: dict[tuple[str, str], str] = {}
    with atomic_text(path) as handle:
        for score in scores:
            key = score.protocol, score.measure
            if key not in measures:
                measures[key] = f'"protocol":{encode_basestring(score.protocol)},"measure":{encode_basestring(score.measure)}'
            reason = f',"reason":{encode_basestring(score.reason)}' if score.reason else ""
            turn_id, value = encode_basestring(score.turn_id), _number(score.value)
            handle.write(f'{{"turn_id":{turn_id},{measures[key]},"value":{value}{reason}}}\n')


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


def _number(value: float | None) -> str:
    """A value as JSON has it; what is no finite number is refused as there."""
    plain = type(value) is float and isfinite(value)  # nearly all are, and asking for a whole JSON encoder each time takes longer
    return float.__repr__(value) if plain else dump_line(value).rstrip()
