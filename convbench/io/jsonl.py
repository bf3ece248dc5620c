"""JSON and JSON lines, plain or gzipped, within the bounds of ``convbench.io.bounds``, with errors that name the file and line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from convbench.errors import DataError, reading_error
from convbench.io.bounds import MAX_DEPTH, MAX_DOCUMENT, MAX_LINE, MIB, read_blocks, too_deep

_BOM = "\ufeff"
_decode = json.JSONDecoder().decode  # as json.loads, without its checks of what it is given
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode  # json.dumps makes one a call


def open_text(path: Path) -> IO[str]:
    """Opens a UTF-8 text file, gunzipping by name (``.gz``), to look at its beginning; whole files are read with ``read_lines``.

    A byte-order mark is dropped.
    """
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
        return path.open(encoding="utf-8-sig", newline="\n")
    except OSError as error:
        raise reading_error(error, path) or error from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (1-based line number, line without its end). A byte-order mark is dropped.

    Raises:
        MissingFileError: There is no such file.
        DataError: A line that is too long, bad UTF-8, or a broken gzip file.
    """
    number = 1
    begun: list[bytes] = []  # what is read of the line whose end has not come yet
    length = 0  # of its bytes
    for block in read_blocks(path):
        end = block.rfind(b"\n") + 1
        length += block.find(b"\n") if end else len(block)
        if length > MAX_LINE:
            raise DataError(
                path, f"longer than {MAX_LINE // MIB} MiB, the most that is read as one line; is it a line format?", line=number
            )
        begun.append(block[:end] if end else block)
        if end:
            lines = _split(_decoded(path, b"".join(begun), number))
            yield from enumerate(lines, number)
            number += len(lines)
            begun = [block[end:]]
            length = len(block) - end
    yield from enumerate(_split(_decoded(path, b"".join(begun), number)), number)


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()  # nothing stands behind the last line's end
    return [line.rstrip("\r") for line in lines] if "\r" in text else lines


def _decoded(path: Path, data: bytes, number: int) -> str:
    """The text of bytes that begin with line ``number``."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        message = f"not UTF-8 ({error.reason} at byte {error.start - start + 1} of the line)"
        raise DataError(path, message, line=number + data.count(b"\n", 0, start)) from None
    return text.removeprefix(_BOM) if number == 1 else text


def read_text(path: Path) -> str:
    """The text of a document, which is read whole. A byte-order mark is dropped.

    Raises:
        MissingFileError: There is no such file.
        DataError: Too large, bad UTF-8, or a broken gzip file.
    """
    return _decoded(path, b"".join(_document(path)), 1)


def read_json(path: Path) -> Any:
    """The JSON document in a file (gzipped by name).

    Raises:
        MissingFileError: There is no such file.
        DataError: Not JSON, cut short, too large or nested too deep; the line is named.
    """
    text = read_text(path)
    try:
        return _parsed(path, text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        message = "the JSON ends early (half-written or cut download?)" if cut else f"not valid JSON: {error.msg}"
        raise DataError(path, f"{message}, column {error.colno}", line=error.lineno) from None


def _document(path: Path) -> Iterator[bytes]:
    known = path.stat().st_size if path.is_file() else 0  # so that a file that is too large is not even begun
    given = 0
    for block in read_blocks(path):
        given += len(block)
        if max(known, given) > MAX_DOCUMENT:
            raise DataError(path, f"larger than {MAX_DOCUMENT // MIB} MiB, the most that is read as one document; use JSON lines")
        yield block


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number, object) of a JSON-lines file; blank lines are passed over.

    Raises:
        DataError: A line is not a JSON object, or is nested too deep.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            value = _parsed(path, line, number)
        except json.JSONDecodeError as error:
            raise DataError(path, f"not valid JSON: {error.msg}, column {error.colno}", line=number) from None
        if not isinstance(value, dict):
            raise DataError(path, f"expected a JSON object, found {type(value).__name__}", line=number)
        yield number, value


def _parsed(path: Path, text: str, line: int | None = None) -> Any:
    """``json.loads``; a number with too many digits for Python is a ``JSONDecodeError`` too, deep nesting a ``DataError``."""
    try:
        value = _decode(text)
        deep = len(text) > 2 * MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH and too_deep(value)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise json.JSONDecodeError(str(error).partition(":")[0], text, 0) from None
    except RecursionError:
        deep = True
    if deep:
        raise DataError(path, f"lists and objects within each other go deeper than {MAX_DEPTH} levels, the most that is read", line=line)
    return value


def dump_line(value: Any) -> str:
    """One JSON line (with its line end), UTF-8, full float precision; NaN is refused."""
    return _encode(value) + "\n"
