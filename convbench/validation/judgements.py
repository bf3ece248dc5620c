"""Relevance judgements, TREC or JSON, checked as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convbench.io.jsonl import read_json
from convbench.io.records import Record
from convbench.types import HIGHEST_GRADE
from convbench.validation.ids import check_passage_id, check_turn_id
from convbench.validation.problems import Findings


class Judgements:
    """Collects judgements.

    Attributes:
        turns: Turn id -> the line where it first appears (None in JSON).
        passages: Passage id -> the same.
        grades: Turn id -> passage id -> grade.
    """

    def __init__(self, findings: Findings) -> None:
        self.turns: dict[str, int | None] = {}
        self.passages: dict[str, int | None] = {}
        self.grades: dict[str, dict[str, int]] = {}
        self._findings = findings

    def add_turn(self, turn_id: str, line: int | None) -> None:
        """Notes a turn, where it is new."""
        if turn_id not in self.turns:
            self.turns[turn_id] = line
            self.grades[turn_id] = {}
            check_turn_id(turn_id, line, self._findings)

    def add(self, turn_id: str, passage_id: str, grade: int, line: int | None) -> None:
        """Adds a judgement of a noted turn; of two for one passage the first stays."""
        known = self.grades[turn_id].get(passage_id)
        if known is None:
            self.grades[turn_id][passage_id] = grade
            self.passages.setdefault(passage_id, line)
        elif known == grade:
            self._findings.add("duplicate-judgements", f"{passage_id!r} of turn {turn_id}", line)
        else:
            self._findings.add("conflicting-grades", f"{passage_id!r} of turn {turn_id}: {known} and {grade}", line)
        if grade > HIGHEST_GRADE:
            self._findings.add("high-grades", f"{grade} of turn {turn_id}", line, highest=HIGHEST_GRADE)
        if grade < 0:
            self._findings.add("negative-grades", f"{grade} of turn {turn_id}", line)

    def check(self) -> None:
        """What shows only in the end: turns without any relevant passage, or no turn at all."""
        if not self.turns:
            self._findings.add("empty")
        for turn_id, grades in self.grades.items():
            if not any(grade > 0 for grade in grades.values()):
                self._findings.add("no-relevant-passage", turn_id, self.turns[turn_id])


def scan_json_qrels(path: Path, findings: Findings) -> Judgements:
    """Judgements as QReCC's papers publish them, ``{turn: {passage: grade}}``; ``{"": 1}`` stands for no gold passage.

    Raises:
        DataError: Not JSON, or no object.
    """
    judgements = Judgements(findings)
    for turn_id, judged in Record(path, read_json(path)).values.items():
        judgements.add_turn(turn_id, None)
        if not isinstance(judged, dict):
            findings.add("fields", f"turn {turn_id}: expected an object of passages, found {type(judged).__name__}")
            continue
        for passage_id, grade in judged.items():
            _add(judgements, turn_id, passage_id, grade, findings)
    return judgements


def _add(judgements: Judgements, turn_id: str, passage_id: str, grade: Any, findings: Findings) -> None:
    if not passage_id:
        return
    check_passage_id(passage_id, turn_id, None, findings)
    if isinstance(grade, bool) or not isinstance(grade, int):
        findings.add("grades", f"{grade!r:.40} of turn {turn_id}")
    else:
        judgements.add(turn_id, passage_id, grade, None)
