"""A file's passages against a dataset's collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from convbench.datasets.collection import prepare_store
from convbench.errors import MissingFileError
from convbench.validation.problems import SHOWN, Findings
from convbench.validation.target import Target


def check_passages(passage_ids: Iterable[str], line_of: Callable[[str], int | None], target: Target, findings: Findings) -> None:
    """Looks passages up in the collection; where its files are not at hand, that is a finding.

    Args:
        passage_ids: The passages, each once.
        line_of: Finds the line of one; asked only of those that are shown.
        target: Whose collection it is.
        findings: Gets unknown passages.
    """
    try:
        collection = target.dataset.collection()
        store = prepare_store(target.dataset, collection, target.cache)
    except MissingFileError as error:
        findings.add("unchecked-passages", reason=error)
        return
    ids = list(passage_ids)
    check = "passages-without-corpus" if collection.origin == "gold-union" else "unknown-passages"
    for place, row in enumerate(np.flatnonzero(store.rows(ids) < 0).tolist()):
        findings.add(check, repr(ids[row]), line_of(ids[row]) if place < SHOWN else None, of=f"{len(store):,}")
