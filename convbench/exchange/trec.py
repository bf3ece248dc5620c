"""TREC runs: six columns, rankings only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from convbench.errors import DataError
from convbench.exchange.notes import Notes
from convbench.exchange.run_format import RunFormat, add_record, note_empty_rankings, read_turn_id, run_name
from convbench.exchange.turn_ids import OWN, TurnIds
from convbench.io.jsonl import read_lines
from convbench.io.trec_run import read_trec_run, write_trec_run
from convbench.types import Ranking, Run, TurnRecord


def _read(path: Path, ids: TurnIds, notes: Notes) -> Run:
    records: dict[str, TurnRecord] = {}
    for name, passages in read_trec_run(path).items():
        error = error_at_turn(path, name)
        turn = read_turn_id(ids, name, error)
        add_record(records, TurnRecord(turn.own, passages=tuple(passages)), error)
    return Run({"run_name": _tag(path)}, records)


def error_at_turn(path: Path, name: str) -> Callable[[str], DataError]:
    """Makes errors at the first line of a turn in a file of columns; the line is looked for only when there is one."""

    def error(message: str) -> DataError:
        line = next((number for number, line in read_lines(path) if line.split()[:1] == [name]), None)
        return DataError(path, message, line=line)

    return error


def _tag(path: Path) -> str:
    """The last column of the first line."""
    return next((columns[-1] for _, line in read_lines(path) if (columns := line.split())), "")


def _write(path: Path, run: Run, names: Mapping[str, str], notes: Notes) -> None:
    note_empty_rankings(run, notes, "a TREC run has a line a passage")
    rankings = (Ranking(names[record.turn_id], record.passages) for record in run.records.values())
    write_trec_run(path, rankings, re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", "-", run_name(run)))


FORMAT = RunFormat(
    name="trec",
    description="TREC run: turn Q0 passage rank score tag",
    turn_ids=(OWN,),
    holds=frozenset({"passages"}),
    holds_header=frozenset({"run_name"}),
    read=_read,
    write=_write,
)
"""The format."""
