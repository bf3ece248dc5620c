"""Where some passages stand in a TREC run that was read as arrays."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from convbench.io.text_keys import text_keys
from convbench.io.trec_columns import RunColumns

_FILTER = 1 << 20
"""Places of a table that fits the processor's cache; must be a power of two."""


def ranks_of(columns: RunColumns, wanted: Mapping[str, Collection[str]]) -> NDArray[np.int64]:
    """The ranks of passages in trec_eval's order: by score as a 32-bit float and, where these are equal, by passage id, both descending.

    Args:
        columns: The run; its scores must be finite as 32-bit floats.
        wanted: Turn -> passage ids, as they stand in the run's column.

    Returns:
        Turn by turn, passage by passage, the rank from 1; 0 where the run lacks the turn, or the turn the passage.
    """
    lines = _lines_of(columns, wanted)
    found = lines >= 0
    ranks = np.zeros(len(lines), np.int64)
    ranks[found] = _ranks(columns, lines[found])
    return ranks


def _lines_of(columns: RunColumns, wanted: Mapping[str, Collection[str]]) -> NDArray[np.int64]:
    """The line of each passage that is asked for, -1 where it has none."""
    numbers = {turn_id: number for number, turn_id in enumerate(columns.turn_ids)}
    turns = np.array([numbers.get(turn_id, -1) for turn_id, ids in wanted.items() for _ in ids], dtype=np.int64)
    ids = [passage_id.encode() for ids in wanted.values() for passage_id in ids]
    keys = text_keys(b"".join(ids), np.cumsum([0, *map(len, ids)], dtype=np.int64), turns)
    lines = np.full(len(ids), -1, np.int64)
    for asked, line in _pairs(keys, columns.keys):
        if _id_of(columns, line) == ids[asked]:
            lines[asked] = line
    return lines


def _pairs(few: NDArray[np.uint64], many: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """The places in either of keys that are equal."""
    last = np.uint64(_FILTER - 1)
    is_there = np.zeros(_FILTER, bool)
    is_there[few & last] = True
    candidates = np.flatnonzero(is_there[many & last])
    order = np.argsort(few)
    ordered, sought = few[order], many[candidates]
    places = np.searchsorted(ordered, sought)
    equal = np.flatnonzero(np.append(ordered, sought[-1:])[places] == sought) if len(few) else places
    equal = equal[places[equal] < len(few)]
    yield from zip(order[places[equal]].tolist(), candidates[equal].tolist(), strict=True)


def _ranks(columns: RunColumns, lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ranks of some lines."""
    firsts, scores = columns.firsts, columns.scores.astype(np.float32)
    order = _descending(scores, firsts)
    scores = scores[order]
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    changes = np.append(True, scores[1:] != scores[:-1])
    changes[firsts[:-1]] = True
    begins = np.append(np.flatnonzero(changes), len(scores))  # of lines with equal scores
    blocks = np.searchsorted(begins, places[lines], side="right") - 1
    ranks = begins[blocks] - firsts[np.searchsorted(firsts, lines, side="right") - 1] + 1
    alike: dict[int, list[bytes]] = {}
    for at in np.flatnonzero(begins[blocks + 1] - begins[blocks] > 1).tolist():
        block = int(blocks[at])
        if block not in alike:
            alike[block] = sorted(_id_of(columns, line) for line in order[begins[block] : begins[block + 1]].tolist())
        ranks[at] += len(alike[block]) - bisect_right(alike[block], _id_of(columns, int(lines[at])))
    return ranks


def _descending(scores: NDArray[np.float32], firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lines, turn by turn, in an order in which scores descend: that of the file, where they do."""
    order = np.arange(len(scores))
    rises = np.setdiff1d(np.flatnonzero(scores[1:] > scores[:-1]) + 1, firsts, assume_unique=True)
    for turn in np.unique(np.searchsorted(firsts, rises, side="right") - 1).tolist():
        first, last = firsts[turn : turn + 2].tolist()
        order[first:last] = first + np.argsort(-scores[first:last], kind="stable")
    return order


def _id_of(columns: RunColumns, line: int) -> bytes:
    """The passage id of a line, in UTF-8, whose order is that of its characters."""
    return columns.text[columns.ends[line] : columns.ends[line + 1]]
