"""Relevance judgements: TREC's four columns, a JSON object ``{turn: {passage: grade}}`` (ranx, QReCC), or BEIR's table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from convbench.errors import DataError, UsageError
from convbench.exchange.base import ExportRequest, ImportRequest, Summary, refuse_existing, refuse_split
from convbench.exchange.dataset_parts import judgements_of, turn_names
from convbench.exchange.judgements import COLUMNS, Judgements, checked, read_table, write_table
from convbench.exchange.notes import Notes
from convbench.exchange.run_format import read_turn_id
from convbench.exchange.strict_json import read_document
from convbench.exchange.trec import error_at_turn
from convbench.exchange.turn_ids import OWN, TurnIds
from convbench.io.atomic import atomic_text, write_text
from convbench.io.jsonl import read_lines
from convbench.io.records import Record
from convbench.io.trec import read_qrels
from convbench.io.trec_run import escape_id, unescape_id


@dataclass(frozen=True, slots=True)
class QrelsFormat:
    """The format ``qrels``."""

    name: str = "qrels"
    description: str = "judgements: TREC (turn 0 passage grade), .json of {turn: {passage: grade}}, or .tsv as BEIR has it"

    def import_(self, request: ImportRequest) -> Summary:
        """Writes TREC judgements with our turn ids, from any of the three."""
        refuse_split(request, self.name)
        refuse_existing(request.out)
        notes = Notes()
        ids = TurnIds((request.turn_ids or OWN,))
        judgements: Judgements = {}
        for name, grades in _read_any(request.source, notes).items():
            judgements[read_turn_id(ids, name, error_at_turn(request.source, name)).own] = grades
        if not judgements:
            raise DataError(request.source, "holds no judgements")
        write_qrels(request.out, checked(judgements, request.source))
        return Summary(self.name, request.out, _counts(judgements), notes.all())

    def export(self, request: ExportRequest) -> Summary:
        """Writes the judgements of a dataset, or of a TREC file, in the form that the target's name asks for."""
        refuse_existing(request.out)
        notes = Notes()
        if request.dataset is not None:
            named = judgements_of(request.dataset, turn_names(request.dataset, request.turn_ids or OWN))
        elif request.source is not None:
            named = _renamed(_read_any(request.source, notes), request.source, request.turn_ids or OWN)
            if not named:
                raise DataError(request.source, "holds no judgements")
        else:
            raise UsageError("qrels: name a file of judgements, or a dataset with -d")
        checked(named, request.source or request.out)
        if request.out.name.endswith(".json"):
            write_text(request.out, json.dumps(named, ensure_ascii=False, indent=1) + "\n")
        elif request.out.name.endswith(".tsv"):
            with atomic_text(request.out) as handle:
                write_table(handle, named)
        else:
            write_qrels(request.out, named)
        return Summary(self.name, request.out, _counts(named), notes.all())


def _renamed(judgements: Judgements, source: Path, pattern: str) -> Judgements:
    ids = TurnIds((pattern,))
    try:
        return {ids.write(turn_id): grades for turn_id, grades in judgements.items()}
    except ValueError as error:
        raise DataError(source, str(error)) from None


def write_qrels(path: Path, judgements: Judgements) -> None:
    """Writes TREC judgements atomically; a blank in a passage id is written as in TREC runs (U+2423)."""
    with atomic_text(path) as handle:
        for turn_id, grades in judgements.items():
            for passage_id, grade in grades.items():
                handle.write(f"{turn_id} 0 {escape_id(passage_id)} {grade}\n")


def _read_any(path: Path, notes: Notes) -> Judgements:
    """The judgements in a file, by its name or what its first line looks like."""
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    if first.split("\t")[:2] == list(COLUMNS[:2]):
        return read_table(path)
    columns = first.split()
    is_trec = len(columns) == 4 and columns[3].lstrip("-").isdecimal()  # a turn's name may begin with a brace
    if path.name.removesuffix(".gz").endswith(".json") or (first.lstrip().startswith("{") and not is_trec):
        return _read_object(path, notes)
    return {turn: {unescape_id(id_): grade for id_, grade in grades.items()} for turn, grades in read_qrels(path).items()}


def _read_object(path: Path, notes: Notes) -> Judgements:
    document = Record(path, read_document(path))
    judgements: Judgements = {}
    for turn in document.values:
        document.check_text("turn id", turn)
        judged = Record(path, document.values[turn], where=repr(turn))
        grades = {id_: judged.get(id_, int) for id_ in judged.values if id_}
        for id_ in grades:
            judged.check_text("passage id", id_)
        if not grades:
            notes.add("turns without a judged passage", turn, "TREC judgements have a line a passage")
            continue
        judgements[turn] = grades
    return judgements


def _counts(judgements: Judgements) -> dict[str, int]:
    return {"turns": len(judgements), "judgements": sum(map(len, judgements.values()))}


FORMAT = QrelsFormat()
"""The format."""
