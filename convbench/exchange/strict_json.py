"""JSON in which no object may name a key twice: ``json`` keeps the last of two scores of one passage without a word."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convbench.errors import DataError, RunFileError
from convbench.io.bounds import MAX_DEPTH, too_deep
from convbench.io.jsonl import read_lines, read_text
from convbench.io.records import Record


class _TwiceError(ValueError):
    """A key that an object names twice."""


def read_document(path: Path) -> Any:
    """The JSON document in a file (gunzipped by name).

    Raises:
        DataError: Not JSON, too large, nested too deeply, or a key twice in one object.
    """
    return parse(path, read_text(path))


def read_objects(path: Path) -> Iterator[Record]:
    """The objects of a JSON-lines file; blank lines are passed over.

    Raises:
        DataError: As in ``read_document``, or a line that holds no object.
    """
    for number, line in read_lines(path):
        if line.strip():
            yield Record(path, parse(path, line, number), line=number)


def finite_number(record: Record, value: object, what: str) -> float:
    """A score.

    Raises:
        DataError: It is no number.
        RunFileError: It is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise record.error(f"{what}: expected a number as score, found {type(value).__name__} {value!r:.40}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RunFileError(str(record.error(f"{what}: score {value!r:.40} is not a finite number")))
    return number


def parse(path: Path, text: str, line: int | None = None) -> Any:
    """The JSON document in a text; ``path`` and ``line`` are for messages."""
    try:
        value = _DECODER.decode(text)
        deep = text.count("[") + text.count("{") > MAX_DEPTH and too_deep(value)
    except _TwiceError as error:
        raise DataError(path, f"the key {error.args[0]!r:.80} appears twice in one object; keep one", line=line) from None
    except json.JSONDecodeError as error:
        raise DataError(path, f"not valid JSON: {error.msg}, column {error.colno}", line=line or error.lineno) from None
    except ValueError as error:
        raise DataError(path, f"not usable JSON: {str(error).partition(':')[0]}", line=line) from None
    except RecursionError:
        deep = True
    if deep:
        raise DataError(path, f"lists and objects within each other go deeper than {MAX_DEPTH} levels, the most that is read", line=line)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        raise _TwiceError(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_once)
