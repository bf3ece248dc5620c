"""The sets that an audit compares a dataset with: its other splits in the same folder, and the datasets that the user names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from convbench.datasets.adapters import MINI
from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, DatasetRequest, dataset_facts, open_dataset
from convbench.datasets.overlap import ComparedSet, units_of
from convbench.datasets.pool import pool_folder
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import DataError, MissingFileError, UsageError


def parse_other(text: str) -> DatasetRequest:
    """``NAME[:SPLIT]=DIR`` as a request.

    Raises:
        UsageError: It is not of that form.
    """
    name, equals, folder = text.partition("=")
    name, colon, split = name.partition(":")
    if not (name and equals and folder) or (colon and not split):
        raise UsageError(f"--with {text!r}: expected NAME=DIR or NAME:SPLIT=DIR, as in --with qrecc:test=path/to/qrecc")
    return DatasetRequest(name, Path(folder), split or None)


def store_at_hand(dataset: Dataset, cache: Path, *, required: bool = False) -> ArrowPassageStore | None:
    """The dataset's passage store, or None where it has no collection.

    Raises:
        MissingFileError: It has none, and it is ``required``, as where the user named one.
    """
    try:
        collection = dataset.collection()
    except MissingFileError:
        if required:
            raise
        return None
    return prepare_store(dataset, collection, cache)


def compared_set(dataset: Dataset, store: ArrowPassageStore | None) -> ComparedSet:
    """An opened dataset as one side of a comparison, named ``<name> <split>``."""
    return ComparedSet(f"{dataset.name} {dataset.split}", units_of(dataset.conversations, dataset.adapter.qrels(), store))


def open_others(own: DatasetRequest, split: str, named: Sequence[DatasetRequest]) -> Iterator[Dataset | str]:
    """The datasets to compare with: the other splits beside ``split`` that can be read, then the ones that were named.

    A split that cannot be read gives a line that says why; a named dataset that cannot be read is an error.
    """
    if own.data is not None and own.data.is_dir():
        facts = dataset_facts(own)
        corpus = own.corpus if pool_folder(own.corpus) is None else None  # a pool is one split's
        for other in sorted({*facts.splits.values()} - {split, MINI}):
            try:
                yield open_dataset(replace(own, split=other, corpus=corpus, rewrites=None, limit=None, conversations=None))
            except (MissingFileError, DataError) as error:
                yield f"{facts.name} {other}: {error}"
    for request in named:
        yield open_dataset(request)
