"""A format that holds runs: rankings, responses, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from convbench.datasets.corpora import check_id
from convbench.errors import DataError, RunFileError, UsageError
from convbench.exchange.base import ExportRequest, ImportRequest, Summary, refuse_existing, refuse_split
from convbench.exchange.notes import Notes
from convbench.exchange.turn_ids import TurnId, TurnIds
from convbench.io.runfile import read_run, write_run
from convbench.io.trec_run import read_trec_run
from convbench.retrieval.canonical import canonical
from convbench.types import Run, TurnRecord

Part = Literal["query", "passages", "response", "evidence", "abstained", "usage", "ledger"]
"""The parts of a turn's record."""

PARTS: dict[Part, str] = {
    "query": "queries as sent to the retriever",
    "passages": "rankings",
    "response": "responses",
    "evidence": "evidence",
    "abstained": "abstentions",
    "usage": "usage counts",
    "ledger": "ledgers of what views kept and dropped",
}
"""Each part in words."""

_EMPTY = TurnRecord("")


@dataclass(frozen=True, slots=True)
class RunFormat:
    """A format of runs, made of one reading and one writing function.

    Attributes:
        name: Its name on the command line.
        description: What it is, in a line.
        turn_ids: Patterns by which it names turns; the first is written.
        holds: The parts of a record that it can hold.
        holds_header: Keys of the run's header that it can hold.
        read: Reads a file. Records come in file order, rankings as they stand.
        write: Writes a file, given the turns' names in it, and counts what of the parts in ``holds`` does not fit.
    """

    name: str
    description: str
    turn_ids: tuple[str, ...]
    holds: frozenset[Part]
    holds_header: frozenset[str]
    read: Callable[[Path, TurnIds, Notes], Run]
    write: Callable[[Path, Run, Mapping[str, str], Notes], None]

    def import_(self, request: ImportRequest) -> Summary:
        """Writes the joint run of a foreign file: rankings in its order, with its scores."""
        if not request.out.name.endswith(".jsonl"):
            raise UsageError(f"{request.out}: a joint run is written; give it a name that ends in .jsonl")
        refuse_split(request, self.name)
        refuse_existing(request.out)
        notes = Notes()
        run = self.read(request.source, self._turn_ids(request.turn_ids), notes)
        if not run.records:
            raise RunFileError(f"{request.source}: the run holds no turns")
        for record in run.records.values():
            _canonical(record, request.source)  # what could not be read again is refused now
        write_run(request.out, run.header, run.records.values())
        return Summary(self.name, request.out, self._counts(run), notes.all())

    def export(self, request: ExportRequest) -> Summary:
        """Writes a run of ours, its rankings made canonical first, so that every tool sees the same order."""
        if request.source is None or request.dataset is not None:
            raise UsageError(f"{self.name} holds a run: name the run folder, joint run or TREC run to export, and no dataset")
        refuse_existing(request.out)
        notes = Notes()
        run = _canonical_run(request.source, notes)
        if not run.records:
            raise RunFileError(f"{request.source}: the run holds no turns")
        self._note_losses(run, notes)
        self.write(request.out, run, self._names(run, request), notes)
        return Summary(self.name, request.out, self._counts(run), notes.all())

    def _turn_ids(self, pattern: str | None) -> TurnIds:
        return TurnIds((pattern,) if pattern is not None else self.turn_ids)

    def _counts(self, run: Run) -> dict[str, int]:
        """How many of the things that the format holds there are."""
        counts = {"turns": len(run.records)}
        if "passages" in self.holds:
            counts["passages"] = sum(len(record.passages) for record in run.records.values())
        if "response" in self.holds:
            counts["responses"] = sum(record.response is not None for record in run.records.values())
        return counts

    def _names(self, run: Run, request: ExportRequest) -> dict[str, str]:
        ids = self._turn_ids(request.turn_ids)
        try:
            return {turn_id: ids.write(turn_id) for turn_id in run.records}
        except ValueError as error:
            raise DataError(str(request.source), str(error)) from None

    def _note_losses(self, run: Run, notes: Notes) -> None:
        for part, words in PARTS.items():
            if part in self.holds:
                continue
            for record in run.records.values():
                if getattr(record, part) != getattr(_EMPTY, part):
                    notes.add(words, record.turn_id, f"{self.name} has no place for them")
        for key in run.header:
            if key not in self.holds_header:
                notes.add("header fields of the run", key, f"{self.name} has no place for them")


def add_record(records: dict[str, TurnRecord], record: TurnRecord, error: Callable[[str], DataError]) -> None:
    """Adds a record that was read.

    Args:
        records: Those read before.
        record: The new one.
        error: Makes the error at the record's place.

    Raises:
        DataError: The turn is there already.
    """
    if record.turn_id in records:
        raise error(f"turn {record.turn_id!r} appears twice")
    records[record.turn_id] = record


def read_turn_id(ids: TurnIds, text: str, error: Callable[[str], DataError]) -> TurnId:
    """The parts of a turn id in a foreign file.

    Raises:
        DataError: It does not fit the pattern.
    """
    try:
        return ids.parse(text)
    except ValueError as problem:
        raise error(str(problem)) from None


def header_text(run: Run, key: str, default: str) -> str:
    """A value of the run's header as text that can be written (headers are not looked into when they are read)."""
    return str(run.header.get(key) or default).encode("utf-8", "replace").decode()


def run_name(run: Run) -> str:
    """The run's name, for formats that want one."""
    return header_text(run, "run_name", "convbench")


def note_empty_rankings(run: Run, notes: Notes, why: str) -> None:
    """Counts the turns that a format without empty rankings cannot name."""
    for record in run.records.values():
        if not record.passages:
            notes.add("turns with an empty ranking", record.turn_id, why)


def _canonical(record: TurnRecord, source: Path) -> TurnRecord:
    """The record with its ranking in canonical order.

    Raises:
        DataError: A passage id that a TREC run could not hold.
        RunFileError: A score that has no place in a ranking.
    """
    for passage_id, _ in record.passages:
        check_id(passage_id, source)
    return replace(record, passages=canonical(record.turn_id, record.passages).passages)


def _canonical_run(source: Path, notes: Notes) -> Run:
    """A run folder's, a joint run's or a TREC run's records with canonical rankings, and the header where there is one."""
    file = source / "turns.jsonl" if source.is_dir() else source
    if file.name.removesuffix(".gz").endswith(".jsonl"):
        run = read_run(file)
    else:
        run = Run({}, {turn_id: TurnRecord(turn_id, passages=tuple(pairs)) for turn_id, pairs in read_trec_run(file).items()})
    records = {}
    for turn_id, record in run.records.items():
        records[turn_id] = _canonical(record, file)
        if records[turn_id] != record:
            notes.add("order or scores of rankings", turn_id, "made canonical: ties broken by passage id, scores lowered to say so")
    return Run(run.header, records)
