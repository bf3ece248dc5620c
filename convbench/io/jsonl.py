"""JSON and JSON lines, plain or gzipped, with errors that name the file and line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from convbench.errors import DataError, reading_error


def open_text(path: Path) -> IO[str]:
    """Opens a UTF-8 text file for reading, gunzipping by name (``.gz``). A byte-order mark is dropped."""
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
        return path.open(encoding="utf-8-sig", newline="\n")
    except OSError as error:
        raise reading_error(error, path) or error from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (1-based line number, line without its end). A truncated gzip or bad UTF-8 is a ``DataError``."""
    number = 0
    with open_text(path) as handle:
        try:
            for number, line in enumerate(handle, 1):
                yield number, line.rstrip("\r\n")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(path, f"broken gzip file ({error}): download it again", line=number + 1) from None
        except UnicodeDecodeError:
            raise _not_utf8(path) from None


def _not_utf8(path: Path) -> DataError:
    """Finds the bad line in a second pass: text is decoded in blocks, so that the first one only knows of a line before it."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return DataError(path, f"not UTF-8 ({error.reason} at byte {error.start + 1} of the line)", line=number)
    return DataError(path, "not UTF-8, or changed while it was read")


def read_json(path: Path) -> Any:
    """The JSON document in a file (gzipped by name).

    Raises:
        MissingFileError: There is no such file.
        DataError: Not JSON, or cut short; the line is named.
    """
    text = "\n".join(line for _, line in read_lines(path))
    try:
        return _parsed(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        message = "the JSON ends early (half-written or cut download?)" if cut else f"not valid JSON: {error.msg}"
        raise DataError(path, f"{message}, column {error.colno}", line=error.lineno) from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number, object) of a JSON-lines file; blank lines are passed over.

    Raises:
        DataError: A line is not a JSON object.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            value = _parsed(line)
        except json.JSONDecodeError as error:
            raise DataError(path, f"not valid JSON: {error.msg}, column {error.colno}", line=number) from None
        if not isinstance(value, dict):
            raise DataError(path, f"expected a JSON object, found {type(value).__name__}", line=number)
        yield number, value


def _parsed(text: str) -> Any:
    """``json.loads`` whose failures are all ``JSONDecodeError``: Python limits the digits of a number and the depth of lists, too."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error).partition(":")[0], text, 0) from None


def dump_line(value: Any) -> str:
    """One JSON line (with its line end), UTF-8, full float precision; NaN is refused."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
