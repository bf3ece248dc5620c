"""TREC runs and judgements, read so that everything wrong with them is found. The column rules are those of ``convbench.io``."""

from __future__ import annotations

import re
from pathlib import Path

from convbench.io.trec import split_columns
from convbench.io.trec_run import read_score, unescape_id
from convbench.retrieval.canonical import LARGEST
from convbench.validation.ids import check_passage_id, check_turn_id
from convbench.validation.judgements import Judgements
from convbench.validation.lines import control_character, is_number, scan_lines
from convbench.validation.problems import SHOWN, Findings
from convbench.validation.ranking_table import NO_RANK, RankingTable

_RUN = "turn_id Q0 passage_id rank score tag"
_QRELS = "turn_id 0 passage_id grade"
_SECOND = ("Q0", "q0", "0")
_GRADE = re.compile(r"-?[0-9]+")


def scan_trec_run(path: Path, findings: Findings) -> RankingTable:
    """The rankings of a TREC run."""
    table = RankingTable()
    tags: list[str] = []
    before, turn, broken = "", 0, False
    for number, line in scan_lines(path, findings):
        columns = split_columns(line)
        if columns == [""]:
            continue
        if not _is_regular(line, columns, number, findings, _RUN):
            # Whose line it is can only be guessed: its first column's, its neighbours'.
            table.spoilt.update(turn_id for turn_id in (columns[0], before) if turn_id in table.turns)
            broken = True
            continue
        turn_id, _, passage, rank, score, tag = columns if len(columns) == 6 else _joined(columns, 3)
        if turn_id != before or broken:
            turn, new = table.turn(turn_id, number)
            if new:
                check_turn_id(turn_id, number, findings)
            if broken:
                table.spoilt.add(turn_id)
            before, broken = turn_id, False
        if tag not in tags and len(tags) <= SHOWN:
            tags.append(tag)
            if len(tags) > 1:
                findings.add("several-tags", tag, number, first=tags[0])
        passage_id = unescape_id(passage)
        check_passage_id(passage_id, turn_id, number, findings)
        table.add(turn, passage_id, _rank(rank, number, findings), _score(score, turn_id, number, findings), number)
    if not table.turns:
        findings.add("empty")
    return table


def scan_trec_qrels(path: Path, findings: Findings) -> Judgements:
    """The judgements of a TREC qrels file."""
    judgements = Judgements(findings)
    for number, line in scan_lines(path, findings):
        columns = split_columns(line)
        if columns == [""] or not _is_regular(line, columns, number, findings, _QRELS):
            continue
        turn_id, _, passage_id, grade = columns if len(columns) == 4 else _joined(columns, 1)
        judgements.add_turn(turn_id, number)
        if _GRADE.fullmatch(grade):
            judgements.add(turn_id, passage_id, int(grade[:20]), number)
        else:
            findings.add("grades", f"{grade!r} of turn {turn_id}", number)
    return judgements


def _is_regular(line: str, columns: list[str], number: int, findings: Findings, names: str) -> bool:
    """Whether a line can be used: it has its columns, or just blanks in its passage id. Whatever is wrong is found."""
    expected = names.count(" ") + 1
    if control := control_character(line):
        findings.add("control-characters", control, number)
        return False
    if len(columns) == expected:
        return True
    tail = expected - 3
    whole = _joined(columns, tail) if len(columns) > expected else []
    if not whole or not all(map(is_number, whole[3:5])):
        findings.add("columns", f"found {len(columns)}", number, n=expected, names=names)
        return False
    turn_id, _, passage_id, *_ = whole
    findings.add("id-blanks", f"turn {turn_id!r}" if " " in turn_id else f"passage {passage_id!r} of turn {turn_id}", number)
    return " " not in turn_id


def _joined(columns: list[str], tail: int) -> list[str]:
    """The columns of a line whose ids hold blanks: Q0 comes after the turn, ``tail`` columns after the passage; else empty."""
    second = next((at for at, column in enumerate(columns[1 : -tail - 1], 1) if column in _SECOND), None)
    if second is None:
        return []
    return [" ".join(columns[:second]), columns[second], " ".join(columns[second + 1 : -tail]), *columns[-tail:]]


def _rank(text: str, number: int, findings: Findings) -> int:
    try:
        rank = int(text)
    except ValueError:
        rank = NO_RANK
    if abs(rank) < abs(NO_RANK):
        return rank
    findings.add("rank-column", repr(text), number)
    return NO_RANK


def _score(text: str, turn_id: str, number: int, findings: Findings) -> float:
    score = read_score(text)
    if not abs(score) <= LARGEST:
        findings.add("scores", f"{text!r} of turn {turn_id}", number)
    return score
