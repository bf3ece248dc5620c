"""OR-QuAC's gold passages: from ``qrels.txt``, else from the evidence texts that are labelled 1.

An evidence is a text without its id, and an answer's ``bid`` counts blocks inside an article that the record does not name. So without
``qrels.txt`` the id comes from the corpus block with that very text or, where there is no corpus, is made up.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from convbench.datasets.quac import turn_id
from convbench.errors import DataError
from convbench.io.jsonl import read_json
from convbench.io.records import Record
from convbench.types import Passage


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Turn id -> grades of a ``qrels.txt``, one JSON object ``{question id: {passage id: grade}}``; grades of 0 are left out.

    Raises:
        DataError: Not such an object.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise DataError(path, f"expected a JSON object of question ids, found {type(document).__name__}")
    table = {}
    for question, value in document.items():
        record = Record(path, value, where=question)
        for passage in record.values:
            record.check_text(question, passage)
        table[turn_id(record, question)] = {passage: grade for passage in record.values if (grade := record.get(passage, int)) > 0}
    return table


def positive_evidences(record: Record) -> list[str]:
    """The evidence texts that are labelled 1. None means that the gold passage is not among the evidences, not that there is none."""
    texts, labels = record.strings("evidences"), record.get("retrieval_labels", list)
    if len(labels) != len(texts):
        raise record.error(f"field 'retrieval_labels' has {len(labels)} items, expected {len(texts)}: one an evidence")
    for label in labels:
        if label not in (0, 1):
            raise record.error(f"field 'retrieval_labels': expected 0 or 1, found {label!r:.60}")
    return [text for text, label in zip(texts, labels, strict=True) if label]


def name_texts(texts: Iterable[str]) -> dict[str, list[str]]:
    """Text -> made-up id ``evidence@<n>``, numbered in first-seen order, for a collection of nothing but these texts."""
    return {text: [f"evidence@{n}"] for n, text in enumerate(dict.fromkeys(texts))}


def locate_texts(texts: Iterable[str], corpus: Iterable[Passage]) -> dict[str, list[str]]:
    """Text -> ids of the passages with that text, white space aside; texts that no passage has are left out."""
    wanted = {" ".join(text.split()): text for text in texts}
    found: dict[str, list[str]] = {}
    for passage in corpus:
        if text := wanted.get(" ".join(passage.text.split())):
            found.setdefault(text, []).append(passage.id)
    return found
