"""Replay: scores a run that something else made. Nothing is inferred; the file's rankings are made canonical."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from convbench.datasets.corpora import check_id
from convbench.errors import DataError, RunFileError
from convbench.io.digests import file_sha256
from convbench.io.records import Record
from convbench.io.runfile import read_run, record_from_json, record_to_json
from convbench.io.trec_run import read_trec_run
from convbench.retrieval.canonical import canonical
from convbench.systems.base import Row, Settings, Stage, SystemConfig, Unit, Upstream, Workplace, name_from
from convbench.types import Turn, TurnRecord

log = logging.getLogger(__name__)

RUN_SUFFIXES = (".jsonl", ".jsonl.gz", ".trec", ".trec.gz", ".run", ".run.gz")
"""File names that the command line takes for finished runs."""


def replay_name(path: Path) -> str:
    """The system's name for a run: its file's without the suffix, as far as a name may hold it."""
    name = path.resolve().name
    suffix = max((suffix for suffix in RUN_SUFFIXES if name.endswith(suffix)), key=len, default="")
    return name_from(name.removesuffix(suffix))


def read_records(path: Path) -> dict[str, TurnRecord]:
    """The records of a finished run: a run folder, a joint run file, or a TREC run (rankings only). Rankings come out canonical.

    Raises:
        MissingFileError: There is no such file.
        DataError: The file is not what its format says, or a passage id could not stand in a TREC run.
        RunFileError: A score has no place in a ranking.
    """
    file = path / "turns.jsonl" if path.is_dir() else path
    if file.name.removesuffix(".gz").endswith(".jsonl"):
        records = dict(read_run(file).records)
    else:
        records = {turn_id: TurnRecord(turn_id, passages=tuple(pairs)) for turn_id, pairs in read_trec_run(file).items()}
    fine: set[str] = set()
    return {turn_id: _canonical(record, file, fine) for turn_id, record in records.items()}


def _canonical(record: TurnRecord, file: Path, fine: set[str]) -> TurnRecord:
    """The record with its ranking in canonical order; ids that are ``fine`` were checked before."""
    try:
        for passage_id, _ in record.passages:
            if passage_id not in fine:
                check_id(passage_id, file)
                fine.add(passage_id)
    except DataError as error:
        raise DataError(file, f"turn {record.turn_id!r}: {str(error).removeprefix(f'{file}: ')}") from None
    return replace(record, passages=canonical(record.turn_id, record.passages).passages)


class ReplayStage:
    """Hands out the file's records; a turn that the file lacks gets an empty row, and is counted as missing."""

    name = "replay"
    version = 1
    batch_size = 4096
    unit: Unit = "turn"

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _records(self) -> dict[str, TurnRecord]:
        return read_records(self._path)

    def describe(self) -> dict[str, Any]:
        """The file's digest; its name does not matter."""
        file = self._path / "turns.jsonl" if self._path.is_dir() else self._path
        return {"type": "replay", "sha256": file_sha256(file)}

    def check(self, turns: Sequence[Turn]) -> None:
        """At least one turn of the dataset must be in the run.

        Raises:
            RunFileError: None is: another dataset, split or numbering.
        """
        if not self._records:
            raise RunFileError(f"{self._path}: the run holds no turns")
        known = {turn.id for turn in turns}
        strangers = [turn_id for turn_id in self._records if turn_id not in known]
        if len(strangers) == len(self._records):
            ours = ", ".join(turn.id for turn in turns[:3])
            raise RunFileError(
                f"{self._path}: none of its turns ({', '.join(strangers[:3])} ...) is a turn of this dataset ({ours} ...){_hint(strangers)}"
            )
        if strangers:
            log.warning("%s: %d of its turns are not evaluated here (first: %s)", self._path, len(strangers), ", ".join(strangers[:3]))

    def open(self, workplace: Workplace) -> None:
        """The file is read on first use."""

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``record``, null for a missing turn."""
        rows: list[Row] = []
        for turn in turns:
            record = self._records.get(turn.id)
            rows.append({"turn_id": turn.id, "record": record_to_json(record) if record else None})
        return rows


def _hint(strangers: Sequence[str]) -> str:
    """What to do where turns are named as other tools name them: ``12-3`` for ``12_3``."""
    return "; `convbench import trec --turn-ids '<conversation>-<turn>'` renames them" if re.fullmatch(r".+-[0-9]+", strangers[0]) else ""


class ReplayConfig(SystemConfig):
    """``kind: replay``."""

    kind: Literal["replay"]
    run: Path

    def build(self, settings: Settings) -> Replay:
        """A system that hands out the run's records."""
        return Replay(self)


class Replay:
    """A finished run as a system."""

    needs_passages = False
    retrieves = False

    def __init__(self, config: ReplayConfig) -> None:
        self.name = config.name
        self._path = config.run

    def stages(self) -> Sequence[Stage]:
        """One stage reads the file."""
        return [ReplayStage(self._path)]

    def conditions(self) -> dict[str, Any]:
        """Unknown: another tool made the run."""
        return {"history": "unknown", "rewriter": "unknown", "evidence": "unknown", "k": None}

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord | None:
        """The file's record, or None where the run lacks the turn."""
        value = rows["replay"]["record"]
        return record_from_json(Record(self._path, value)) if value else None
