"""Fetching a file: attempts, mirrors in turn, and the check of what came, before it gets its name."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from convbench.datasets.download.checks import difference, doubt, with_git_blob
from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.part import Moved, PartFile
from convbench.datasets.download.places import Places
from convbench.datasets.download.record import FileRecord, record_of
from convbench.datasets.download.shown import shown_url
from convbench.datasets.download.transfer import Cut, Line, Refused, transfer
from convbench.datasets.download.waiting import Patience
from convbench.errors import ResourceError
from convbench.io.deadline import Deadline
from convbench.progress import Advance, progress_bar

if TYPE_CHECKING:
    import httpx

_MOST_ATTEMPTS = 1000
_MB = 1_000_000
_log = logging.getLogger(__name__)


def fetch(file: DownloadFile, places: Places, patience: Patience) -> FileRecord:
    """Fetches a file from its address or a mirror, going on where an earlier call stopped.

    Nothing lies under the file's name before all of it is there and checked.

    Raises:
        ResourceError: No address gives it; each is named with its reason, and where a copy can be put instead.
        StorageError: The disk is full; the same call goes on where it stopped.
    """
    reasons = []
    deadline = Deadline(patience.read)
    with _client(patience, deadline) as client, _bar(file) as moved:
        line = Line(client, deadline, patience)
        part = PartFile(places.part(file.name), file, moved)
        moved(part.size)
        for url in file.urls:
            try:
                digests = _from_address(line, url, file, part)
            except Refused as error:
                reasons.append(f"{shown_url(url)}: {error}")
                _log.info("%s: %s", file.name, reasons[-1])
                continue
            if note := doubt(file, digests):
                _log.warning("%s", note)
            part.finish(places.file(file.name))
            return record_of(file, places.file(file.name), digests, shown_url(url))
    raise ResourceError(f"{file.name}: {'; '.join(reasons)}; put a copy here: {places.file(file.name)}")


def _from_address(line: Line, url: str, file: DownloadFile, part: PartFile) -> dict[str, str]:
    """The digests of the whole file, which then lies in the part and is what the manifest says."""
    patience = line.patience
    joined = part.size > 0  # its beginning is of an earlier call, or of another mirror
    failures, most = 0, part.size
    for _ in range(_MOST_ATTEMPTS):
        try:
            if part.size == 0 or part.size != file.size:
                transfer(line, url, file, part)
        except Cut as error:
            failures = 1 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures >= patience.attempts:
                raise Refused(f"{error}, {failures} times in a row") from None
            if error.wait is not None and error.wait > patience.asked:
                raise Refused(f"{error}: it asks to come back in {error.wait:,.0f} seconds") from None
            if part.size != file.size:
                patience.wait(failures, error.wait)
            continue
        digests = with_git_blob(part.digests(), part.path, file)
        wrong = difference(file, part.size, digests)
        if wrong is None:
            return digests
        part.discard()
        if not joined:
            raise Refused(f"it gives another file: {wrong}")
        joined, most = False, 0  # the fault may be in the earlier bytes: once more from the start
    raise Refused(f"not whole after {_MOST_ATTEMPTS} attempts")


def _client(patience: Patience, deadline: Deadline) -> httpx.Client:
    import httpx

    from convbench import __version__

    limits = httpx.Timeout(patience.read, connect=patience.connect)
    return httpx.Client(
        timeout=limits,
        verify=_certificates(),
        headers={"User-Agent": f"convbench/{__version__}"},
        event_hooks={"request": [deadline.heed]},
    )


@cache
def _certificates() -> ssl.SSLContext:
    """The certificates to trust, read once: that takes longer than a small file."""
    import httpx

    return httpx.create_ssl_context()


@contextmanager
def _bar(file: DownloadFile) -> Iterator[Moved]:
    """A progress bar in megabytes."""
    total = file.likely_size
    with progress_bar(file.name, -(-total // _MB) or None, unit="MB") as advance:
        yield _in_megabytes(advance)


def _in_megabytes(advance: Advance) -> Moved:
    shown = 0

    def moved(size: int) -> None:
        nonlocal shown
        if (now := size // _MB) != shown:
            advance(now - shown)
            shown = now

    return moved
