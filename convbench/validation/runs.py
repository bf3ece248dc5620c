"""Runs and responses: each is scanned, its rankings are checked, and its turns and passages are compared with a dataset's."""

from __future__ import annotations

from pathlib import Path

from convbench.errors import UsageError
from convbench.harness.folder import RunFolder
from convbench.validation.coverage import check_header, check_turns
from convbench.validation.kinds import Kind, is_json
from convbench.validation.passages import check_passages
from convbench.validation.problems import Findings
from convbench.validation.rankings import check_rankings
from convbench.validation.record_files import ScannedRecords, scan_joint_run, scan_responses
from convbench.validation.run_folder import check_files
from convbench.validation.target import Datasets, Target
from convbench.validation.trec_files import scan_trec_run


def check_run(path: Path, kind: Kind, target: Target | None, findings: Findings) -> tuple[str, int]:
    """Checks a run's file, or a file of responses; returns what it was read as, and its number of turns."""
    what, scanned = scan_run(path, kind, findings)
    if target:
        compare(scanned, target, findings)
    return what, len(scanned.table.turns)


def check_folder(path: Path, datasets: Datasets, findings: Findings) -> int:
    """Checks a run folder against the dataset that was named, else its own; returns its number of turns."""
    folder = RunFolder(path)
    try:
        target = datasets.named() or datasets.open(folder.spec().dataset.request())
    except UsageError as error:
        if datasets.name is not None:
            raise
        findings.fail(error)
        return 0
    check_files(folder, findings)
    if not folder.turns.exists():
        return 0
    return check_run(folder.turns, "run", target, findings)[1]


def scan_run(path: Path, kind: Kind, findings: Findings) -> tuple[str, ScannedRecords]:
    """Reads a run or responses; the first value says what it is."""
    if kind == "responses":
        return "responses", scan_responses(path, findings)
    joint = is_json(path)
    scanned = scan_joint_run(path, findings) if joint else ScannedRecords(scan_trec_run(path, findings))
    check_rankings(scanned.table, findings)
    return "joint run" if joint else "TREC run", scanned


def compare(scanned: ScannedRecords, target: Target, findings: Findings) -> None:
    """Compares turns and passages with the dataset's. A file without rankings, or responses, need not cover what is scored by them."""
    table, dataset = scanned.table, target.dataset
    required = {*(dataset.retrieval_turns().ids if table.passages else ()), *(dataset.response_turns().ids if scanned.responses else ())}
    check_turns(dict(zip(table.turns, table.lines, strict=True)), target, required or {turn.id for turn in dataset.turns}, findings)
    check_header(scanned.header, target, findings)
    if table.passages:
        check_passages(table.passages, table.line_of, target, findings)
