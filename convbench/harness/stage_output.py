"""One stage's rows on disk: appended batch by batch, finished by a manifest and an atomic rename.

Batches are a fixed partition of the plan and are written in order, so an interrupted file is a prefix of the finished one: resuming cuts it
back to the last whole batch and goes on. A run that was killed therefore ends with the same bytes as one that was not. The digest of each
batch stands beside the part, as the manifest's does beside the finished file, so that rows that were damaged in between are made again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from convbench.errors import storage_errors
from convbench.harness.stage_rows import StageRows
from convbench.io.atomic import atomic_path, write_text
from convbench.io.digests import file_sha256
from convbench.io.jsonl import dump_line
from convbench.systems.base import Row

log = logging.getLogger(__name__)


class StageOutput:
    """The rows of one stage in a run folder.

    Args:
        folder: The run's ``stages`` folder.
        name: The stage.
        key: Digest of everything that the rows depend on; rows under another key are not reused.
        batches: Turn ids, in the fixed batches.
    """

    def __init__(self, folder: Path, name: str, key: str, batches: Sequence[Sequence[str]]) -> None:
        self.name = name
        self._key = key
        self._batches = batches
        self._file = folder / f"{name}.jsonl"
        self._manifest = folder / f"{name}.manifest.json"
        self._part = folder / f"{name}.{key[:16]}.part"
        self._digests = folder / f"{name}.{key[:16]}.part.digests"

    @property
    def total(self) -> int:
        """How many rows the finished stage has."""
        return sum(len(batch) for batch in self._batches)

    def is_finished(self) -> bool:
        """Whether the finished file is there, under this key and unchanged."""
        try:
            manifest = json.loads(self._manifest.read_text(encoding="utf-8"))
            if manifest["key"] != self._key:
                return False
            if manifest["sha256"] == file_sha256(self._file):
                return True
            log.warning("%s was changed after it was written: it is made again", self._file)
        except (OSError, ValueError, TypeError, KeyError):
            pass  # no manifest, or none of ours: the stage is not finished
        return False

    def batches_done(self) -> int:
        """How many whole batches exist. Changes nothing."""
        return len(self._batches) if self.is_finished() else len(self._whole_batches()[0])

    def resume(self) -> int:
        """Cuts an interrupted file back to its whole batches and returns how many there are."""
        digests, length = self._whole_batches()
        if self._part.exists():
            with self._part.open("r+b") as handle:
                handle.truncate(length)
            write_text(self._digests, "".join(f"{digest}\n" for digest in digests))
        return len(digests)

    def rows(self) -> StageRows:
        """The rows of the finished stage, in order."""
        return StageRows(self._file, [turn_id for batch in self._batches for turn_id in batch])

    def append(self, rows: Iterable[Row]) -> None:
        """Adds one batch and flushes it to disk; its digest goes first, so that no rows are there without one.

        Raises:
            StorageError: The disk is full or the folder cannot be written to.
        """
        data = "".join(map(dump_line, rows)).encode()
        with storage_errors(self._digests):
            self._digests.parent.mkdir(parents=True, exist_ok=True)
            with self._digests.open("a", encoding="utf-8") as handle:
                handle.write(f"{sha256(data).hexdigest()}\n")  # not flushed: where the machine's crash loses it, the batch is made again
        _append(self._part, data)

    def finish(self) -> None:
        """Writes the manifest of the complete part and gives the part its final name."""
        with storage_errors(self._file):
            self._part.touch()
            manifest = {"stage": self.name, "key": self._key, "rows": self.total, "sha256": file_sha256(self._part)}
            # The manifest goes first: a kill in between leaves the whole part, and nothing is computed again.
            write_text(self._manifest, json.dumps(manifest, indent=2) + "\n")
            self._digests.unlink(missing_ok=True)
            self._part.replace(self._file)

    def elsewhere(self, folder: Path) -> StageOutput:
        """The same rows in the ``stages`` folder of another run."""
        return StageOutput(folder, self.name, self._key, self._batches)

    def take_over(self, donor: StageOutput) -> None:
        """Copies the finished rows of another run; a part of our own is not needed any more.

        Raises:
            StorageError: The disk is full or the folder cannot be written to.
        """
        with atomic_path(self._file) as copy:
            shutil.copyfile(donor._file, copy)
        for path in (self._part, self._digests):
            path.unlink(missing_ok=True)
        write_text(self._manifest, donor._manifest.read_text(encoding="utf-8"))  # last: the stage is finished when it is there

    def _whole_batches(self) -> tuple[list[str], int]:
        """The digests of the whole batches in the part, and their length in bytes."""
        found: list[str] = []
        length = 0
        if not self._part.exists():
            return found, length
        written = self._written_digests()
        with self._part.open("rb") as handle:
            for batch in self._batches:
                lines = [handle.readline() for _ in batch]
                if [_turn_id(line) for line in lines] != list(batch):
                    break
                digest = sha256(b"".join(lines)).hexdigest()
                if written is not None and written[len(found) : len(found) + 1] != [digest]:
                    log.warning("%s: a batch is not what was written: it and those after it are made again", self._part)
                    break
                found.append(digest)
                length += sum(len(line) for line in lines)
        return found, length

    def _written_digests(self) -> list[str] | None:
        """The digests of the batches of the part, in order; None where an older version wrote it."""
        try:
            return self._digests.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None


def append_lines(path: Path, values: Iterable[Any]) -> None:
    """Adds JSON lines to a file and flushes them to disk; nothing is written where one is no JSON.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    _append(path, "".join(dump_line(value) for value in values).encode())


def _append(path: Path, data: bytes) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())


def _turn_id(line: bytes) -> object:
    """The turn of a whole row; None for a line that was cut, or that a crash of the machine left as something else."""
    try:
        return json.loads(line)["turn_id"] if line.endswith(b"\n") else None
    except (ValueError, TypeError, KeyError):
        return None
