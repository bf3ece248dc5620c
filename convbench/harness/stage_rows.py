"""Rows of a finished stage, read from its file when they are asked for: in memory they would take more than anything else of a long run."""

from __future__ import annotations

import json
import os
import weakref
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from convbench.errors import DataError
from convbench.systems.base import Row

_decode = json.JSONDecoder().raw_decode


class StageRows(Mapping[str, Row]):
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

    def __getitem__(self, turn_id: str) -> Row:
        place = self._places[turn_id]
        start = self._starts[place]
        line = os.pread(self._descriptor, self._starts[place + 1] - start, start)
        try:
            row: Row = _decode(line.decode())[0]
            found = row["turn_id"]
        except (ValueError, TypeError, KeyError):
            found = None
        if found != turn_id:  # changed while the run goes on, or by a stage that did not keep the order
            message = f"found {'no row' if found is None else f'the row of turn {found!r}'}, expected that of turn {turn_id!r}"
            raise DataError(self._path, f"{message}; delete the file and run the same command again", line=place + 1)
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

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
