"""Validation: tells what a file is, reads all of it, compares it with a dataset, and says everything that is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from convbench.datasets.loading import DatasetRequest
from convbench.errors import DataError, MissingFileError, RunFileError, UsageError
from convbench.validation.checks import Severity
from convbench.validation.dataset_files import check_dataset
from convbench.validation.kinds import Kind, kind_of
from convbench.validation.problems import Findings, Problem
from convbench.validation.qrels import check_qrels
from convbench.validation.runs import check_folder, check_run
from convbench.validation.target import Datasets

_NAMED: tuple[Severity, ...] = ("error", "warning")


@dataclass(frozen=True, slots=True)
class Report:
    """What validation found.

    Attributes:
        kind: What the file was read as.
        turns: How many turns it has.
        problems: Everything that was found, errors first.
    """

    kind: str
    turns: int
    problems: tuple[Problem, ...]

    def count(self, severity: Severity) -> int:
        """How many problems are so bad."""
        return sum(problem.severity == severity for problem in self.problems)

    def verdict(self) -> str:
        """One line: what was read, and whether it is in order."""
        counts = ((self.count(severity), severity) for severity in _NAMED)
        found = ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count)
        return f"{self.kind}, {self.turns} turn{'s' if self.turns != 1 else ''}: {found or 'in order'}"


def validate(path: Path, kind: Kind | None, datasets: Datasets) -> Report:
    """Checks a file or folder.

    Args:
        path: A run (TREC, joint, or a run folder), responses, judgements, or a dataset's files.
        kind: What it is, or None to tell it from its content.
        datasets: The dataset to check ids against, or that the files are of.

    Raises:
        UsageError: It cannot be told what the file is, or the dataset that was named cannot be opened so.
        MissingFileError: Files of the dataset that was named are not there.
        DataError: The dataset that was named, to check another file against, is malformed.
    """
    findings = Findings()
    if not path.exists():
        findings.fail(f"{path}: no such file")
        return _report(kind or "file", 0, findings)
    kind = kind or kind_of(path, has_dataset=datasets.name is not None)
    if kind == "dataset":
        if datasets.name is None:
            raise UsageError(f"{path}: say which dataset this is, with -d")
        return validate_dataset(replace(datasets.request_of(datasets.name), data=path), datasets.cache)
    what, turns = str(kind), 0
    try:
        if kind == "run" and path.is_dir():
            what, turns = "run folder", check_folder(path, datasets, findings)
        elif kind == "qrels":
            what, turns = "judgements", check_qrels(path, datasets.named(), findings)
        else:
            what, turns = check_run(path, kind, datasets.named(), findings)
    except (DataError, MissingFileError, RunFileError) as error:
        findings.fail(error)
    return _report(what, turns, findings)


def validate_dataset(request: DatasetRequest, cache: Path) -> Report:
    """Checks a dataset where its files are."""
    findings = Findings()
    what, turns = f"dataset {request.name}", 0
    try:
        dataset = check_dataset(request, cache, findings)
        what, turns = f"dataset {dataset.name} {dataset.split}", len(dataset.turns)
    except (DataError, MissingFileError) as error:
        findings.fail(error)
    return _report(what, turns, findings)


def _report(what: str, turns: int, findings: Findings) -> Report:
    return Report(what, turns, tuple(findings.problems()))
