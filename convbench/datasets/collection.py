"""From an adapter's stream of passages to the on-disk store, built once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from convbench.datasets.base import Collection
from convbench.datasets.loading import Dataset
from convbench.datasets.store import ArrowPassageStore
from convbench.datasets.store_build import build_store
from convbench.errors import DataError
from convbench.io.cache import remembered_sha256
from convbench.io.digests import value_sha256
from convbench.progress import progress_bar

READER_VERSION = 1
"""Raised when a reader turns the same corpus file into other passages."""


def collection_identity(dataset: Dataset, collection: Collection, cache: Path) -> dict[str, Any]:
    """What makes two readings of a collection the same, known before it is read: reader, origin and the files' digests."""
    digests = sorted([path.name, remembered_sha256(path, cache)] for path in collection.files)
    split = dataset.split if collection.origin == "gold-union" else None
    return {"dataset": dataset.name, "reader": READER_VERSION, "origin": collection.origin, "split": split, "files": digests}


def prepare_store(dataset: Dataset, collection: Collection, cache: Path) -> ArrowPassageStore:
    """Opens the passage store of a collection under ``cache``; builds it, or goes on building it, where it is not finished."""
    identity = collection_identity(dataset, collection, cache)
    digest = value_sha256(identity)
    folder = cache / "stores" / f"{dataset.name}-{digest[:32]}"
    try:
        with progress_bar(f"{dataset.name}: passage store", None, unit="passage") as advance:
            return build_store(
                collection.passages,
                folder,
                sources={dataset.name: digest},
                progress=advance,
                digest_of=partial(remembered_sha256, cache=cache),
            )
    except DataError as error:
        if str(folder) not in str(error):
            raise  # it names the corpus file itself
        message = str(error).partition(": ")[2]
        raise DataError(", ".join(str(file) for file in collection.files), message) from None
