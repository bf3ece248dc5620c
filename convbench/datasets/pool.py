"""A pool: the part of a collection that holds the gold passages and the first passages of some systems, as a small collection of its own.

It lies in a folder: ``pool.jsonl`` holds the passages in the order of the full collection, ``pool.json`` says what they were taken from.
The folder is given in the place of a corpus. It belongs to one split, whose judgements it has to hold, and to no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from convbench.config import Config, build_config
from convbench.datasets.base import Collection, CollectionOrigin
from convbench.datasets.corpora import jsonl_passages
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.io.digests import file_sha256, value_sha256
from convbench.io.jsonl import read_json
from convbench.types import Passage, Qrels

MANIFEST = "pool.json"
"""The file that makes a folder a finished pool."""

PASSAGES = "pool.jsonl"
"""The passages; of a name that no reader takes for a corpus."""

SCHEMA_VERSION: Final = 1
"""Version of the layout on disk."""

_SHA256 = r"^[0-9a-f]{64}$"
_FIELDS = {"id_field": "id", "text_field": "text", "title_field": "title"}


class FullCollection(Config):
    """What a pool was taken from."""

    origin: CollectionOrigin
    sha256: str = Field(pattern=_SHA256, description="digest of its content, as results name it")
    passages: int = Field(ge=1)


class PoolGold(Config):
    """The judgements that a pool was made for.

    Attributes:
        sha256: Digest of every grade of the split.
        turns: Judged turns.
        passages: Judged passages that are in the pool.
        missing: Judged passages that the full collection lacks.
    """

    sha256: str = Field(pattern=_SHA256)
    turns: int
    passages: int
    missing: int


class PoolSystem(Config):
    """A system whose first passages are in a pool.

    Attributes:
        name: Its name.
        conditions: What it saw: history, rewriter ...
        stages: What it was made of, as a run's header tells it.
        turns: Turns that it has a ranking for.
        rankings_sha256: Digest of the passages that it gave, turn by turn.
    """

    name: str
    conditions: dict[str, Any]
    stages: dict[str, Any]
    turns: int
    rankings_sha256: str = Field(pattern=_SHA256)


class PoolManifest(Config):
    """What ``pool.json`` says. The same files, systems and depth give the same bytes.

    Attributes:
        schema_version: Version of the layout.
        dataset: The dataset.
        split: Its split.
        options: Reading options that the systems' queries were read with.
        turns: Retrieval turns whose first passages were taken.
        full: The full collection.
        gold: The judgements.
        systems: Whose first passages were taken.
        depth: How many of each turn.
        passages: Passages of the pool.
        sha256: Digest of ``pool.jsonl``.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    dataset: str
    split: str
    options: dict[str, str]
    turns: int
    full: FullCollection
    gold: PoolGold
    systems: list[PoolSystem]
    depth: int = Field(ge=1)
    passages: int = Field(ge=1)
    sha256: str = Field(pattern=_SHA256)

    @property
    def names(self) -> list[str]:
        """The systems' names."""
        return [system.name for system in self.systems]

    def facts(self) -> dict[str, Any]:
        """What a run says of the pool that it searched, beside the pool's own digest and size."""
        return {
            "full_sha256": self.full.sha256,
            "full_passages": self.full.passages,
            "gold_sha256": self.gold.sha256,
            "systems": self.names,
            "depth": self.depth,
        }

    def describe(self) -> str:
        """One line for people."""
        taken = f"gold passages and the top {self.depth} of {' and '.join(self.names) or 'no system'}"
        full = f"{self.full.passages:,} (collection {self.full.sha256[:12]})"
        return f"{self.dataset}, split {self.split}: {self.passages:,} of {full} passages: {taken}"

    def dump(self) -> str:
        """The manifest as JSON text."""
        return json.dumps(self.model_dump(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@dataclass(frozen=True, slots=True)
class Pool:
    """A finished pool in a folder.

    Attributes:
        folder: The folder.
        manifest: What it is made of.
    """

    folder: Path
    manifest: PoolManifest

    def collection(self) -> Collection:
        """Its passages; their digest is checked whenever they are read."""
        return Collection("pooled", (self.folder / MANIFEST, self.folder / PASSAGES), self._passages)

    def refuse_other(self, dataset: str, split: str, qrels: Qrels) -> None:
        """Refuses to stand in for the collection of another split, or of other judgements.

        Raises:
            UsageError: It was made for something else.
        """
        own = self.manifest
        if (own.dataset, own.split) != (dataset, split):
            made, asked = f"{own.dataset}, split {own.split}", f"{dataset}, split {split}"
            raise UsageError(f"{self.folder}: a pool for {made}, and {asked} is asked for: make one with {_command(dataset)}")
        if own.gold.sha256 != (found := gold_sha256(qrels)):
            raise UsageError(
                f"{self.folder}: a pool for other judgements of {dataset}, split {split} (digest {own.gold.sha256[:12]}, the files at hand "
                f"give {found[:12]}): read the files that it was made for, or make another with {_command(dataset)}"
            )

    def _passages(self) -> Iterator[Passage]:
        path = self.folder / PASSAGES
        if not path.is_file():
            raise MissingFileError(f"{path}: the passages of the pool are gone; make it again with {_command(self.manifest.dataset)}")
        if file_sha256(path) != self.manifest.sha256:
            raise DataError(path, f"is not the file that {MANIFEST} names by its digest: put it back, or make the pool again")
        yield from jsonl_passages([path], **_FIELDS)


def pool_folder(corpus: Path | None) -> Path | None:
    """The folder of the pool that a corpus is, or lies in; None where it is an ordinary corpus."""
    if corpus is None:
        return None
    folder = corpus.parent if corpus.name in (MANIFEST, PASSAGES) else corpus
    return folder if (folder / MANIFEST).is_file() else None


def read_pool(folder: Path) -> Pool:
    """Opens a pool.

    Raises:
        MissingFileError: There is no finished pool in the folder.
        DataError: Its manifest is damaged or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingFileError(f"{folder}: no finished pool here ({MANIFEST} is missing): make one with `convbench data pool`")
    values = read_json(path)
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
        raise DataError(path, f"not the manifest of a pool: expected an object with schema_version {SCHEMA_VERSION}")
    try:
        return Pool(folder, build_config(PoolManifest, values, str(path)))
    except UsageError as error:
        raise DataError(path, f"{str(error).removeprefix(f'{path}: ')}; was it changed by hand?") from None


def pools_in(folder: Path) -> list[Pool]:
    """The finished pools in the folders of a folder, by name; damaged ones are passed over."""
    found = []
    for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
        with suppress(DataError):
            found.append(read_pool(manifest.parent))
    return found


def gold_sha256(qrels: Qrels) -> str:
    """The digest of every grade of a split."""
    return value_sha256({turn_id: dict(grades) for turn_id, grades in qrels.items() if grades})


def _command(dataset: str) -> str:
    return f"`convbench data pool {dataset}`"
