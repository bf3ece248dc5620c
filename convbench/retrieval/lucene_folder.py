"""The folder of a Lucene index: a manifest that tells whether its files are what was written."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from pydantic import ValidationError

from convbench.config import Config
from convbench.io.atomic import write_text
from convbench.io.cache import remembered_sha256

MANIFEST = "manifest.json"
_COMMITS = "segments"
"""How Lucene's lists of an index's files begin; it opens the newest that is there."""
_log = logging.getLogger(__name__)


class Manifest(Config):
    """What a finished index consists of.

    Attributes:
        passages: Passages that it holds.
        sha256: File -> digest.
    """

    passages: int
    sha256: dict[str, str]


class LuceneFolder:
    """One index on disk: Lucene's files in ``index``, and beside them the manifest, written when all of them are.

    Args:
        path: The folder.
        cache: Where digests of unchanged files are remembered.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        self.path, self.index = path, path / "index"
        self._cache = cache

    @property
    def bytes_on_disk(self) -> int:
        """Size of Lucene's files."""
        return sum(file.stat().st_size for file in self._files())

    def finished(self, passages: int) -> bool:
        """Whether a whole, undamaged index is here; one that is damaged is warned of, and must be built again."""
        try:
            manifest = Manifest.model_validate_json((self.path / MANIFEST).read_bytes())
        except FileNotFoundError:
            return False
        except ValidationError:
            _log.warning("%s: not readable: the index is built again", self.path / MANIFEST)
            return False
        fault = self._fault(manifest, passages)
        if fault:
            _log.warning("%s: the index is built again", fault)
        return fault is None

    def finish(self, passages: int) -> None:
        """Writes the manifest of the files that are there."""
        digests = {file.name: remembered_sha256(file, self._cache) for file in self._files()}
        write_text(self.path / MANIFEST, json.dumps(Manifest(passages=passages, sha256=digests).model_dump(), indent=1) + "\n")

    def clear(self) -> None:
        """Removes the index."""
        (self.path / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.index, ignore_errors=True)

    def begin(self) -> None:
        """Makes ready for building; what an unfinished build left stays, and what lacks a valid manifest but once had one goes."""
        if (self.path / MANIFEST).exists():
            self.clear()
        self.index.mkdir(parents=True, exist_ok=True)

    def _fault(self, manifest: Manifest, passages: int) -> str | None:
        if manifest.passages != passages:
            return f"{self.path}: it holds {manifest.passages} passages, expected {passages}"
        if odd := [file for file in self._files() if file.name.startswith(_COMMITS) and file.name not in manifest.sha256]:
            return f"{odd[0]}: not of this index, and Lucene would open it"
        for name, digest in manifest.sha256.items():
            path = self.index / name
            if not path.is_file():
                return f"{path}: the file is missing"
            if remembered_sha256(path, self._cache) != digest:
                return f"{path}: its content is not what was written"
        return None

    def _files(self) -> list[Path]:
        return sorted(file for file in self.index.iterdir() if file.name != "write.lock") if self.index.is_dir() else []
