"""The passage store: a collection on disk that is read by row or by id without being loaded.

Retrievers work with rows (0 to ``len(store) - 1``, in the order of the corpus); ids are looked up at the edges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import Field, ValidationError

from convbench.config import Config
from convbench.datasets.id_index import IdIndex
from convbench.datasets.passage_parts import PassageParts
from convbench.errors import DataError, MissingFileError
from convbench.io.jsonl import read_json
from convbench.io.sealed import BrokenSealError, sealed, unsealed
from convbench.types import Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST = "manifest.json"
"""The file that makes a folder a finished store."""

SCHEMA_VERSION: Final = 1
"""Version of the layout on disk."""


@runtime_checkable
class PassageStore(Protocol):
    """A collection of passages, in a fixed order."""

    @property
    def sha256(self) -> str:
        """Digest of the content: ids, titles and texts in order, however they are laid out on disk."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Passage]: ...

    def __contains__(self, id_: object) -> bool: ...

    def get(self, ids: Sequence[str]) -> list[Passage]:
        """The passages of ``ids``, in that order; an unknown id is an error."""

    def ids(self, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The ids of ``rows``; a row outside the store is an ``IndexError``."""

    def rows(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows of ``ids``, -1 where an id is unknown."""

    def texts(self, start: int, stop: int) -> list[Passage]:
        """The passages from row ``start`` up to ``stop``, as a Python slice."""


class PartFile(Config):
    """One part as the manifest lists it."""

    file: str = Field(pattern=r"^[a-z0-9-]+\.arrow$")
    rows: int = Field(gt=0)
    sha256: str


class Manifest(Config):
    """What ``manifest.json`` says of a store. Its being there says that the store is whole.

    Attributes:
        schema_version: Version of the layout.
        data: The folder beside the manifest that holds the parts and the id index.
        rows: Number of passages.
        sha256: Digest of the content.
        sources: Name -> digest of what the store was built from.
        parts: The parts, in row order.
        index: File of the id index -> its digest; empty in stores of versions that wrote none down.
        check: Digest of all of this; None likewise.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    data: str = Field(pattern=r"^passages-[0-9a-f]+$")
    rows: int = Field(gt=0)
    sha256: str
    sources: dict[str, str]
    parts: list[PartFile] = Field(min_length=1)
    index: dict[str, str] = {}  # noqa: RUF012 - pydantic copies defaults
    check: str | None = None

    def dump(self) -> str:
        """The manifest as JSON text, sealed."""
        return json.dumps(sealed(self.model_dump(exclude={"check"})), indent=1, ensure_ascii=False) + "\n"

    @property
    def digests(self) -> dict[str, str]:
        """Every file beside the manifest, in the folder ``data``, and its digest."""
        return {part.file: part.sha256 for part in self.parts} | self.index


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished store.

    Raises:
        MissingFileError: There is no finished store in the folder.
        DataError: The manifest is damaged or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingFileError(f"{folder}: no finished passage store here ({MANIFEST} is missing): prepare the dataset first")
    try:
        values = read_json(path)
        manifest = Manifest.model_validate(values)
        if manifest.check is not None:
            unsealed(values)
        return manifest
    except BrokenSealError as error:
        raise DataError(path, f"damaged ({error}); delete the folder and prepare it again") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(part if isinstance(part, str) and part.isprintable() else ascii(part) for part in problem["loc"]) or None
        message = f"not the manifest of a passage store ({problem['msg'].lower()}); delete the folder and prepare it again"
        raise DataError(path, message, where=where) from None


class ArrowPassageStore:
    """A finished store in a folder, memory-mapped: opening it reads next to nothing.

    Args:
        folder: The folder that ``store_build.build_store`` wrote.

    Raises:
        MissingFileError: There is no finished store in the folder.
        DataError: A file of the store is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        data = folder / self.manifest.data
        self._parts = PassageParts([data / part.file for part in self.manifest.parts], [part.rows for part in self.manifest.parts])
        self._index = IdIndex(data, len(self._parts), self._parts.ids)

    @property
    def sha256(self) -> str:
        """Digest of the content."""
        return self.manifest.sha256

    def __len__(self) -> int:
        return self.manifest.rows

    def __iter__(self) -> Iterator[Passage]:
        return self._parts.slice(0, len(self))

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and bool(self.rows([id_])[0] >= 0)

    def get(self, ids: Sequence[str]) -> list[Passage]:
        """The passages of ``ids``, in that order.

        Raises:
            DataError: Some ids are unknown; the first are named.
        """
        rows = self.rows(ids)
        if (rows < 0).any():
            unknown = list(dict.fromkeys(ids[i] for i in np.flatnonzero(rows < 0).tolist()))
            first = ", ".join(map(repr, unknown[:5]))
            raise DataError(self.folder, f"{len(unknown)} passage ids unknown to this collection of {len(self)} passages, first: {first}")
        return self._parts.passages(rows)

    def ids(self, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The ids of ``rows``; a row outside the store is an ``IndexError``."""
        return self._parts.ids(rows)

    def rows(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows of ``ids``, -1 where an id is unknown."""
        return self._index.rows(ids)

    def texts(self, start: int, stop: int) -> list[Passage]:
        """The passages from row ``start`` up to ``stop``, as a Python slice."""
        start, stop, _ = slice(start, stop).indices(len(self))
        return list(self._parts.slice(start, stop))
