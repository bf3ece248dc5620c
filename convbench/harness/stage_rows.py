"""Rows of a finished stage, read from its file when they are asked for: in memory they would take more than anything else of a long run."""

from __future__ import annotations

import json
import os
import weakref
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from convbench.errors import DataError
from convbench.systems.base import Row
from convbench.systems.stages import PartlyRead

_BLOCK = 1 << 16
_decode = json.JSONDecoder().raw_decode


class StageRows(PartlyRead):
    """Turn id -> row, in the order of the file; every look reads and parses one line.

    Args:
        path: The finished file, a line a turn.
        turn_ids: The turns, in its order.

    Raises:
        DataError: A line is not the row of its turn, with a look at it.
    """

    def __init__(self, path: Path, turn_ids: Sequence[str]) -> None:
        self._path = path
        self._places = {turn_id: place for place, turn_id in enumerate(turn_ids)}
        self._next = 0
        self._block_start = 0
        self._block = b""

    def __getitem__(self, turn_id: str) -> Row:
        try:
            row: Row = _decode(self._line(turn_id).decode())[0]
            found = row["turn_id"]
        except (ValueError, TypeError, KeyError):
            found = None
        if found != turn_id:  # changed while the run goes on, or by a stage that did not keep the order
            message = f"found {'no row' if found is None else f'the row of turn {found!r}'}, expected that of turn {turn_id!r}"
            line = self._places[turn_id] + 1
            raise DataError(self._path, f"{message}; delete the file and run the same command again", line=line)
        return row

    def leading(self, turn_id: str, field: str, count: int) -> list[Any]:
        """The first items of a list of a row, as ``rows[turn_id][field][:count]``.

        Where the list is the first thing of the row after the turn's id, as rankings are, what stands behind the items is not parsed.
        """
        items: list[Any] = []
        with suppress(ValueError, IndexError):  # then it is damaged, or of another form: parsing all of it says which
            text = self._line(turn_id).decode()
            opening = f'{{"turn_id":{encode_basestring(turn_id)},"{field}":['
            at = len(opening) if text.startswith(opening) else len(text)
            while len(items) < count and text[at] != "]":
                item, end = _decode(text, at)
                items.append(item)
                at = end + "],".index(text[end])  # onto the bracket, or behind the comma
            return items
        every: list[Any] = self[turn_id][field]
        return every[:count]

    def __contains__(self, turn_id: object) -> bool:
        return turn_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _line(self, turn_id: str) -> bytes:
        """The line of a turn; looks at one turn after the other are served from a block, each line of which is given once."""
        place = self._places[turn_id]
        start, end = self._starts[place], self._starts[place + 1]
        in_order, self._next = place == self._next, place + 1
        if not (in_order and end <= self._block_start + len(self._block)):
            self._block_start = start
            self._block = os.pread(self._descriptor, max(end - start, _BLOCK if in_order else 0), start)
        return self._block[start - self._block_start : end - self._block_start]

    @cached_property
    def _descriptor(self) -> int:
        """The open file: opening it for every look would take longer than reading."""
        descriptor = os.open(self._path, os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    @cached_property
    def _starts(self) -> array[int]:
        """Where each line begins."""
        starts = array("q", [0])
        with self._path.open("rb") as handle:
            for line in handle:
                starts.append(starts[-1] + len(line))
        if len(starts) != len(self) + 1:
            message = f"found {len(starts) - 1} rows, expected {len(self)}; delete the file and run the same command again"
            raise DataError(self._path, message)
        return starts
