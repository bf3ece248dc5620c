"""The JSON-lines files of a collection that is published in many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbench.datasets.files import find_files
from convbench.errors import MissingFileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from convbench.datasets.base import DatasetSource


def find_jsonl_corpus(source: DatasetSource, *layouts: Sequence[str], what: str) -> tuple[Path, ...]:
    """All of ``source.corpus`` (a file, or a folder's ``*.jsonl``), else the files of the first layout that lies below the root.

    Args:
        source: The dataset's source.
        *layouts: File patterns of each layout, the official one first.
        what: What the files hold, for the message.

    Raises:
        MissingFileError: There are none.
    """
    if source.corpus is not None:
        folder, layouts = source.corpus, (["*.jsonl"],)
    else:
        folder = source.root
    if source.corpus is not None or folder.is_dir():
        for patterns in layouts:
            if found := find_files(folder, patterns):
                return tuple(found)
    expected = " or ".join(pattern for patterns in layouts for pattern in patterns)
    raise MissingFileError(
        f"{folder}: no file for {what}: expected {expected} (or .gz) at any depth; set --corpus "
        "(the turns name their gold passages by id only, so their texts cannot stand in for it)"
    )
