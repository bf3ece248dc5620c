"""A dataset's files, read whole: the adapter's own checks, ids and judgements against turns, and the audit's errors."""

from __future__ import annotations

from pathlib import Path

from convbench.datasets.audit import audit
from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.store import PassageStore
from convbench.errors import MissingFileError
from convbench.types import Qrels
from convbench.validation.ids import check_passage_id, check_turn_id
from convbench.validation.problems import Findings, Problem


def check_dataset(request: DatasetRequest, cache: Path, findings: Findings) -> Dataset:
    """Reads a dataset and checks it.

    Raises:
        DataError: A record is malformed: adapters stop there.
        MissingFileError: A file is not there, or several could be meant.
    """
    dataset = open_dataset(request)
    qrels = dataset.adapter.qrels()
    _check_turns(dataset, findings)
    _check_judgements(dataset, qrels, findings)
    for found in audit(dataset.conversations, qrels, _store(dataset, cache, findings)):
        if found.severity == "error":
            findings.report(Problem(found.check, found.severity, found.count, found.message, found.examples))
    return dataset


def _check_turns(dataset: Dataset, findings: Findings) -> None:
    for turn in dataset.turns:
        check_turn_id(turn.id, None, findings)
        if not turn.query.strip():
            findings.add("empty-queries", turn.id)
        if any(not reference.text.strip() for reference in turn.references):
            findings.add("empty-references", turn.id)


def _check_judgements(dataset: Dataset, qrels: Qrels, findings: Findings) -> None:
    known = {turn.id for conversation in dataset.adapter.conversations() for turn in conversation.turns}
    for turn_id, grades in qrels.items():
        if turn_id not in known:
            findings.add("extra-turns", turn_id, dataset=f"{dataset.name} {dataset.split}")
        for passage_id in grades:
            check_passage_id(passage_id, turn_id, None, findings)


def _store(dataset: Dataset, cache: Path, findings: Findings) -> PassageStore | None:
    try:
        return prepare_store(dataset, dataset.collection(), cache)
    except MissingFileError as error:
        findings.add("unchecked-passages", reason=error)
        return None
