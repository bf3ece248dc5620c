"""Typed access to the fields of one raw record, with errors that name file, place and field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from convbench.errors import DataError
from convbench.io.jsonl import read_json, read_jsonl

T = TypeVar("T")

_NAMES = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "an object"}


class Record:
    """One JSON object of an official file.

    Args:
        path: The file it came from.
        values: The object.
        line: Its line, in line formats.
        where: Its key or index, in other formats.
    """

    __slots__ = ("line", "path", "values", "where")

    def __init__(self, path: Path, values: Any, *, line: int | None = None, where: str | None = None) -> None:
        self.path, self.line, self.where = path, line, where
        if not isinstance(values, dict):
            raise self.error(f"expected an object, found {_shown(values)}")
        self.values: dict[str, Any] = values

    def error(self, message: str) -> DataError:
        """A ``DataError`` at this record's place."""
        return DataError(self.path, message, line=self.line, where=self.where)

    def get(self, field: str, kind: type[T]) -> T:
        """The field's value, which must be there and of the kind."""
        if field not in self.values:
            raise self.error(f"field {field!r} is missing; expected {_NAMES[kind]}")
        value = self.values[field]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(f"field {field!r}: expected {_NAMES[kind]}, found {_shown(value)}")
        if isinstance(value, str):
            self.check_text(field, value)
        return value

    def check_text(self, field: str, value: str) -> None:
        """Raises where a string is no text: JSON's escapes can name half of a surrogate pair, which no file or tokenizer takes."""
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.error(f"field {field!r} holds {value[error.start]!r}, half of a surrogate pair; repair the file") from None

    def optional(self, field: str, kind: type[T], default: T) -> T:
        """The field's value, or ``default`` where it is absent or null."""
        return default if self.values.get(field) is None else self.get(field, kind)

    def strings(self, field: str) -> list[str]:
        """A list field whose items must all be strings."""
        values = self.get(field, list)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(f"field {field!r}[{index}]: expected a string, found {_shown(value)}")
            self.check_text(f"{field}[{index}]", value)
        return values

    def records(self, field: str) -> list[Record]:
        """A list field whose items must all be objects."""
        return [self._child(f"{field}[{i}]", value) for i, value in enumerate(self.get(field, list))]

    def record(self, field: str) -> Record:
        """A field that must be an object."""
        return self._child(field, self.get(field, dict))

    def _child(self, name: str, value: Any) -> Record:
        where = f"{self.where}.{name}" if self.where else name
        return Record(self.path, value, line=self.line, where=where)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.60}" if value is not None else "null"


def read_list(path: Path) -> Iterator[Record]:
    """The records of a file that holds one JSON list."""
    document = read_json(path)
    if not isinstance(document, list):
        raise DataError(path, f"expected a JSON list, found {_shown(document)}")
    for index, value in enumerate(document):
        yield Record(path, value, where=f"record {index}")


def read_lines_or_list(path: Path) -> Iterator[Record]:
    """The records of a JSON-lines file (by name: ``.jsonl``, ``.txt``), else of a JSON list."""
    if path.name.removesuffix(".gz").endswith((".jsonl", ".txt")):
        for line, value in read_jsonl(path):
            yield Record(path, value, line=line)
    else:
        yield from read_list(path)
