"""Building a passage store: a stream of passages in, a folder out, resumable at every part.

The parts and the id index go to a subfolder named after what is built. ``manifest.json``, written last and atomically, makes the store
whole, or puts the new one in the place of an older one.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from operator import eq
from pathlib import Path

from convbench.datasets.corpora import check_id
from convbench.datasets.id_index import write_id_index
from convbench.datasets.passage_parts import PassagePart, PassageParts, write_part
from convbench.datasets.store import MANIFEST, SCHEMA_VERSION, ArrowPassageStore, Manifest, PartFile, read_manifest
from convbench.errors import DataError, storage_error
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256, value_sha256
from convbench.types import Passage

_LOCK = "build.lock"
_log = logging.getLogger(__name__)


def build_store(
    passages: Callable[[], Iterator[Passage]],
    folder: Path,
    *,
    sources: Mapping[str, str],
    part_rows: int = 100_000,
    progress: Callable[[int], None] | None = None,
) -> ArrowPassageStore:
    """Builds the store of a collection, or opens it where the folder already holds the one of these sources.

    A build that was killed goes on after its last whole part, and ends with the same bytes as one that was not. A store of other sources
    stays usable until the new one is whole. Of two processes that build one folder the second waits, then opens what the first built.

    Args:
        passages: Starts a fresh stream of the collection.
        folder: Where the store goes.
        sources: Name -> digest of everything that determines the stream: the corpus files, and reading options if there are any.
        part_rows: Passages in one part, which is held in memory while it is written. The store's digest does not depend on it.
        progress: Called after every part with the number of its passages (``tqdm.update`` fits).

    Raises:
        DataError: The collection is empty, or an id comes twice.
        StorageError: The disk is full or the folder cannot be written to; the same call goes on where it stopped.
    """
    if _finished(folder, sources):
        return ArrowPassageStore(folder)
    with _locked(folder):
        if not _finished(folder, sources):
            _build(passages, folder, dict(sources), part_rows, progress)
    return ArrowPassageStore(folder)


def _finished(folder: Path, sources: Mapping[str, str]) -> bool:
    return (folder / MANIFEST).is_file() and read_manifest(folder).sources == dict(sources)


def _build(
    passages: Callable[[], Iterator[Passage]],
    folder: Path,
    sources: dict[str, str],
    part_rows: int,
    progress: Callable[[int], None] | None,
) -> None:
    data = folder / f"passages-{value_sha256([SCHEMA_VERSION, sources, part_rows])[:16]}"
    with _storage_errors(folder):
        data.mkdir(exist_ok=True)
        _remove_temporary(folder, data)
    digest = hashlib.sha256()
    parts: list[PartFile] = []
    stream = passages()
    while batch := list(islice(stream, part_rows)):
        _add_content(digest, batch, folder)
        path = data / f"part-{len(parts):05d}.arrow"
        if not _holds(path, batch):
            write_part(path, batch)
        parts.append(PartFile(file=path.name, rows=len(batch), sha256=file_sha256(path)))
        if progress is not None:
            progress(len(batch))
        del batch  # or it would stay in memory while the next one is read
    if not parts:
        raise DataError(folder, f"the collection is empty: no passages in {', '.join(sources) or 'its sources'}")
    rows = sum(part.rows for part in parts)
    manifest = Manifest(data=data.name, rows=rows, sha256=digest.hexdigest(), sources=sources, parts=parts)
    _write_index(data, manifest)
    write_text(folder / MANIFEST, manifest.dump())
    with _storage_errors(folder):
        _remove_older(folder, data)


def _holds(path: Path, batch: list[Passage]) -> bool:
    """Whether a killed build left this part; it is compared, since the code that reads the sources may have changed in between."""
    return path.exists() and all(map(eq, PassagePart(path, len(batch)).passages(0, len(batch)), batch))


def _write_index(data: Path, manifest: Manifest) -> None:
    paths = [data / part.file for part in manifest.parts]
    counts = [part.rows for part in manifest.parts]
    # Every part is mapped afresh and let go, so that a pass over all ids does not keep the whole collection's pages.
    blocks = (PassagePart(path, rows).ids() for path, rows in zip(paths, counts, strict=True))
    write_id_index(data, blocks, manifest.rows, lambda rows: PassageParts(paths, counts).ids(rows))


def _add_content(digest: hashlib._Hash, batch: list[Passage], folder: Path) -> None:
    """Adds passages to the store's digest; the lengths (in code points) keep one field from running into the next."""
    for passage in batch:
        check_id(passage.id, folder)
        content = f"{len(passage.id)} {len(passage.title)} {len(passage.text)}\n{passage.id}{passage.title}{passage.text}"
        try:
            digest.update(content.encode())
        except UnicodeEncodeError as error:
            found = f"{content[error.start]!r}, half of a surrogate pair"
            raise DataError(folder, f"the passage holds {found}, which is no text; repair the source", where=ascii(passage.id)) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder against other builders; the lock goes with the process, however that ends."""
    with _storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / _LOCK).open("w")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.warning("%s: another process is building this store: waiting for it", folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, folder) or error from error


def _remove_temporary(*folders: Path) -> None:
    """Removes what a killed build left half-written."""
    for folder in folders:
        for path in folder.glob(".*.tmp"):
            path.unlink()


def _remove_older(folder: Path, data: Path) -> None:
    """Removes the data of stores that the manifest no longer names, and nothing else."""
    for other in folder.glob("passages-" + "[0-9a-f]" * 16):
        if other != data:
            shutil.rmtree(other)
