"""Building a passage store: a stream of passages in, a folder out, resumable at every part.

The parts and the id index go to a subfolder named after what is built. ``manifest.json``, written last and atomically, makes the store
whole, or puts the new one in the place of an older one.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from operator import eq
from pathlib import Path

from convbench.datasets.corpora import check_id
from convbench.datasets.id_index import INDEX_FILES, write_id_index
from convbench.datasets.passage_parts import REBUILD, PassagePart, PassageParts, write_part
from convbench.datasets.store import MANIFEST, SCHEMA_VERSION, ArrowPassageStore, Manifest, PartFile, read_manifest
from convbench.errors import DataError, StorageError, storage_errors
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256, value_sha256
from convbench.io.lock import acquire
from convbench.types import Passage

_LOCK = "build.lock"
_NO_DIGEST = "an older version wrote no digest of it down"
_log = logging.getLogger(__name__)


def build_store(
    passages: Callable[[], Iterator[Passage]],
    folder: Path,
    *,
    sources: Mapping[str, str],
    part_rows: int = 100_000,
    progress: Callable[[int], None] | None = None,
    digest_of: Callable[[Path], str] = file_sha256,
) -> ArrowPassageStore:
    """Builds the store of a collection, or opens it where the folder already holds the one of these sources.

    A build that was killed goes on after its last whole part, and ends with the same bytes as one that was not. A store of other sources
    stays usable until the new one is whole. A file that is no longer what was written is made again, and a warning names it. Of two
    processes that build one folder the second waits, then opens what the first built.

    Args:
        passages: Starts a fresh stream of the collection.
        folder: Where the store goes.
        sources: Name -> digest of everything that determines the stream: the corpus files, and reading options if there are any.
        part_rows: Passages in one part, which is held in memory while it is written. The store's digest does not depend on it.
        progress: Called after every part with the number of its passages (``tqdm.update`` fits).
        digest_of: Gives the sha256 of a file; with one that remembers them (``remembered_sha256``) a finished store need not be read whole.

    Raises:
        DataError: The collection is empty, or an id comes twice.
        StorageError: The disk is full or the folder cannot be written to; the same call goes on where it stopped.
    """
    build = _Build(folder, dict(sources), part_rows, digest_of)
    if not build.is_finished():
        readable = build.is_readable()  # asked before anything is written: a file can be in its place, and its folder not on disk
        try:
            with _locked(folder):
                build.finish(passages, progress)
        except StorageError as error:
            if not readable:
                raise
            _log.warning("%s; the id index is read as an older version wrote it", str(error).partition(";")[0])
    return ArrowPassageStore(folder)


class _Build:
    """One store that there must be.

    Args:
        folder: Where it goes.
        sources: What it is made from.
        part_rows: Passages in one part.
        digest_of: Gives the sha256 of a file.
    """

    def __init__(self, folder: Path, sources: dict[str, str], part_rows: int, digest_of: Callable[[Path], str]) -> None:
        self._folder = folder
        self._sources = sources
        self._part_rows = part_rows
        self._digest_of = digest_of

    def is_finished(self) -> bool:
        """Whether it is there, and is what was written."""
        return self._faults() == set()

    def is_readable(self) -> bool:
        """Whether it is there, perhaps of an older version: then its parts are what was written, and nothing vouches for its index."""
        faults = self._faults()
        return faults is not None and faults <= {_NO_DIGEST}

    def finish(self, passages: Callable[[], Iterator[Passage]], progress: Callable[[int], None] | None) -> None:
        """Makes what of it is missing or damaged, in a folder that is locked."""
        try:
            manifest = self._manifest()
        except DataError as error:
            _log.warning("%s; it is made again", str(error).removesuffix("; delete the folder and prepare it again"))
            manifest = None
        damaged = self._without_damaged(manifest) if manifest is not None else set()
        if manifest is None or damaged & {part.file for part in manifest.parts}:
            self._write(passages(), progress)
        elif damaged:
            self._write_index(manifest)

    def _faults(self) -> set[str] | None:
        """Why files cannot be used; None where no manifest names any."""
        try:
            manifest = self._manifest()
        except DataError:
            return None
        if manifest is None:
            return None
        found = map(self._fault, self._files(manifest), self._expected(manifest))
        return {fault for fault in found if fault is not None}

    def _manifest(self) -> Manifest | None:
        """The manifest of a store of these sources; ``DataError`` where it is damaged."""
        if not (self._folder / MANIFEST).is_file():
            return None
        manifest = read_manifest(self._folder)
        return manifest if manifest.sources == self._sources else None

    def _files(self, manifest: Manifest) -> list[Path]:
        return [self._folder / manifest.data / name for name in (*(part.file for part in manifest.parts), *INDEX_FILES)]

    def _expected(self, manifest: Manifest) -> list[str | None]:
        return [manifest.digests.get(path.name) for path in self._files(manifest)]

    def _fault(self, path: Path, sha256: str | None) -> str | None:
        """Why a file cannot be used, or None."""
        if not path.is_file():
            return "the file is missing"
        if sha256 is None:
            return _NO_DIGEST
        return None if self._digest_of(path) == sha256 else "its content is not what was written"

    def _without_damaged(self, manifest: Manifest) -> set[str]:
        """Removes the files that cannot be used, and says so; their names."""
        found = set()
        for path, sha256 in zip(self._files(manifest), self._expected(manifest), strict=True):
            if fault := self._fault(path, sha256):
                _log.warning("%s: %s: made again", path, fault)
                found.add(path.name)
                with storage_errors(self._folder):
                    path.unlink(missing_ok=True)
        return found

    def _write(self, stream: Iterator[Passage], progress: Callable[[int], None] | None) -> None:
        folder = self._folder
        data = folder / f"passages-{value_sha256([SCHEMA_VERSION, self._sources, self._part_rows])[:16]}"
        with storage_errors(folder):
            data.mkdir(exist_ok=True)
            _remove_temporary(folder, data)
        digest = hashlib.sha256()
        parts: list[PartFile] = []
        while batch := list(islice(stream, self._part_rows)):
            _add_content(digest, batch, folder)
            path = data / f"part-{len(parts):05d}.arrow"
            if not _holds(path, batch):
                write_part(path, batch)
            parts.append(PartFile(file=path.name, rows=len(batch), sha256=self._digest_of(path)))
            if progress is not None:
                progress(len(batch))
            del batch  # or it would stay in memory while the next one is read
        if not parts:
            raise DataError(folder, f"the collection is empty: no passages in {', '.join(self._sources) or 'its sources'}")
        rows = sum(part.rows for part in parts)
        self._write_index(Manifest(data=data.name, rows=rows, sha256=digest.hexdigest(), sources=self._sources, parts=parts))
        with storage_errors(folder):
            _remove_older(folder, data)

    def _write_index(self, manifest: Manifest) -> None:
        """Writes the id index of whole parts, and the manifest last."""
        data = self._folder / manifest.data
        paths = [data / part.file for part in manifest.parts]
        counts = [part.rows for part in manifest.parts]
        # Every part is mapped afresh and let go, so that a pass over all ids does not keep the whole collection's pages.
        blocks = (PassagePart(path, rows).ids() for path, rows in zip(paths, counts, strict=True))
        write_id_index(data, blocks, manifest.rows, lambda rows: PassageParts(paths, counts).ids(rows))
        index = {name: self._digest_of(data / name) for name in INDEX_FILES}
        write_text(self._folder / MANIFEST, manifest.model_copy(update={"index": index}).dump())


def _holds(path: Path, batch: list[Passage]) -> bool:
    """Whether a killed build left this part; it is compared, since the code that reads the sources may have changed in between."""
    try:
        return path.exists() and all(map(eq, PassagePart(path, len(batch), check=True).passages(0, len(batch)), batch))
    except DataError as error:
        _log.warning("%s; it is made again", str(error).removesuffix(f"; {REBUILD}"))
        return False


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
    with storage_errors(folder):
        lock = acquire(folder / _LOCK, lambda who: _log.warning("%s: %s is building this store: waiting for it", folder, who))
    with lock:
        yield


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
