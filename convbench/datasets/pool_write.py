"""Writing a pool: which passages of a full collection are in it, and the two files, the same bytes whoever writes them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.datasets.base import CollectionOrigin
from convbench.datasets.loading import Dataset
from convbench.datasets.pool import MANIFEST, PASSAGES, FullCollection, Pool, PoolGold, PoolManifest, PoolSystem, gold_sha256, read_pool
from convbench.datasets.store import PassageStore
from convbench.errors import DataError, UsageError
from convbench.io.atomic import atomic_text, write_text
from convbench.io.digests import file_sha256
from convbench.io.jsonl import dump_line
from convbench.io.lock import acquire
from convbench.progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 4096
_LOCK = ".lock"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contributor:
    """A system whose first passages go into a pool.

    Attributes:
        name: Its name.
        conditions: What it saw.
        stages: What it was made of.
        place: Where its rankings are, for messages.
        rankings: Turn id -> passage ids, best first, no more than the pool's depth.
    """

    name: str
    conditions: Mapping[str, Any]
    stages: Mapping[str, Any]
    place: Path
    rankings: Mapping[str, Sequence[str]]


def write_pool(
    dataset: Dataset, store: PassageStore, origin: CollectionOrigin, contributors: Sequence[Contributor], *, depth: int, folder: Path
) -> Pool:
    """Writes the pool of a split; one that is there already is kept.

    Memory: a byte a passage of the full collection.

    Args:
        dataset: The dataset, all of its split.
        store: The full collection.
        origin: What that is.
        contributors: The systems, with the rankings of the retrieval turns.
        depth: How many passages of each turn they give.
        folder: Where it goes.

    Raises:
        UsageError: The folder holds another pool, or another process writes one there.
        DataError: A ranked passage is not in the collection.
        StorageError: It cannot be written; the same call goes on.
    """
    refuse_place(folder, dataset, depth=depth)
    qrels = dataset.adapter.qrels()
    judged = sorted({passage for grades in qrels.values() for passage in grades})
    chosen = np.zeros(len(store), dtype=np.bool_)
    found = store.rows(judged)
    chosen[found[found >= 0]] = True
    if judged and not (found >= 0).any():
        raise UsageError(
            f"{dataset.name}, split {dataset.split}: nothing to pool: none of the {len(judged):,} judged passages is in this collection of "
            f"{len(store):,} passages: name the one that the judgements are of with --corpus"
        )
    if missing := int((found < 0).sum()):
        _log.warning("%s: %d of %d judged passages are not in the full collection", folder, missing, len(judged))
    systems = [_add(contributor, store, chosen) for contributor in contributors]
    rows = np.flatnonzero(chosen)
    if not len(rows):
        raise UsageError(f"{dataset.name}, split {dataset.split}: nothing to pool: no passage is judged, and none is ranked")
    expected: dict[str, Any] = {
        "dataset": dataset.name,
        "split": dataset.split,
        "options": dict(dataset.options),
        "turns": len(dataset.retrieval_turns().ids),
        "full": FullCollection(origin=origin, sha256=store.sha256, passages=len(store)),
        "gold": PoolGold(sha256=gold_sha256(qrels), turns=len(qrels), passages=len(judged) - missing, missing=missing),
        "systems": systems,
        "depth": depth,
        "passages": len(rows),
    }
    with _locked(folder):
        if (folder / MANIFEST).exists():
            return _kept(folder, expected)
        path = folder / PASSAGES
        _write_passages(path, store, rows, f"{dataset.name}: pool")
        manifest = PoolManifest(**expected, sha256=file_sha256(path))
        write_text(folder / MANIFEST, manifest.dump())  # last: it makes the pool whole
    return Pool(folder, manifest)


def refuse_place(folder: Path, dataset: Dataset, *, depth: int, names: Sequence[str] | None = None, files: Sequence[Path] = ()) -> None:
    """Refuses a folder that this pool cannot go into, as far as that is known before anything is searched.

    Args:
        folder: The folder.
        dataset: The dataset.
        depth: How many passages of each turn are taken.
        names: Names of the systems, in their order; None where they are not known yet.
        files: The files of the full collection and of the dataset: with a pool beside them, their folder would be taken for it.

    Raises:
        UsageError: It is a file, holds another pool, files of others, or the files of the dataset.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; expected a folder for the pool")
    whole = folder.resolve()
    if beside := [file for file in files if file.resolve().is_relative_to(whole)]:
        raise UsageError(
            f"{folder}: holds {beside[0].name}, which the pool is made of; with a pool there, the folder would be taken for it: choose "
            "another --out"
        )
    if (folder / MANIFEST).exists():
        known = {"dataset": dataset.name, "split": dataset.split, "options": dict(dataset.options), "depth": depth}
        _refuse_other(folder, read_pool(folder).manifest, known if names is None else known | {"names": list(names)})
    elif (folder / PASSAGES).exists() and not (folder / _LOCK).exists():
        raise UsageError(f"{folder / PASSAGES}: is there already, and no pool was begun here: choose another --out, or remove it")


def _add(contributor: Contributor, store: PassageStore, chosen: NDArray[np.bool_]) -> PoolSystem:
    """Marks a system's passages."""
    digest, turns = hashlib.sha256(), 0
    for turn_id, ids in contributor.rankings.items():
        rows = store.rows(ids)
        if (rows < 0).any():
            unknown = ids[int(np.flatnonzero(rows < 0)[0])]
            raise DataError(contributor.place, f"turn {turn_id}: passage {unknown!r} is not in this collection of {len(store)} passages")
        chosen[rows] = True
        turns += bool(len(ids))
        digest.update(dump_line([turn_id, *ids]).encode())
    return PoolSystem(
        name=contributor.name,
        conditions=dict(contributor.conditions),
        stages=dict(contributor.stages),
        turns=turns,
        rankings_sha256=digest.hexdigest(),
    )


def _write_passages(path: Path, store: PassageStore, rows: NDArray[np.intp], what: str) -> None:
    """Block by block, in the order of the full collection."""
    with atomic_text(path) as handle, progress_bar(what, len(rows), unit="passage") as advance:
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            for passage in store.get(store.ids(block)):
                handle.write(dump_line({"id": passage.id, "title": passage.title, "text": passage.text}))
            advance(len(block))


def _kept(folder: Path, expected: Mapping[str, Any]) -> Pool:
    """The pool that the folder holds, if it is the one that would be written."""
    pool = read_pool(folder)
    _refuse_other(folder, pool.manifest, expected)
    for _ in pool.collection().passages():
        break  # its digest is checked before the first one
    return pool


def _refuse_other(folder: Path, held: PoolManifest, expected: Mapping[str, Any]) -> None:
    for key, value in expected.items():
        own = getattr(held, key)
        if (_pooled(own) != _pooled(value)) if key == "systems" else (own != value):
            what = "systems" if key == "names" else key
            shown = "" if key in ("full", "gold", "systems") else f" ({own!r} there, {value!r} here)"
            raise UsageError(f"{folder}: holds another pool: its {what} differ{shown}; choose another --out, or remove that folder")


def _pooled(systems: Sequence[PoolSystem]) -> list[tuple[str, str]]:
    """What decides a pool's passages: not whether a run of the same rankings had responses, too."""
    return [(system.name, system.rankings_sha256) for system in systems]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps a second process out, and removes what a killed one left half-written."""

    def busy(*holder: str) -> None:
        raise UsageError(f"{folder}: {' '.join(holder) or 'another process'} is writing a pool here; wait for it or choose another --out")

    try:
        handle = acquire(folder / _LOCK, busy)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{error.filename}: is a file, or lies in one; expected a folder for the pool") from None
    with handle:
        for path in folder.glob(".pool.json*.tmp"):
            path.unlink(missing_ok=True)
        yield
