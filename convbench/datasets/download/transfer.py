"""One request for the rest of a file (RFC 9110: ranges, validators, framing), its answer taken with distrust."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.part import PartFile, address_of
from convbench.datasets.download.room import check_room
from convbench.datasets.download.waiting import Patience, retry_after
from convbench.errors import StorageError, storage_error
from convbench.io.deadline import Deadline

if TYPE_CHECKING:
    import httpx

E = TypeVar("E", bound=BaseException)

_MOST_REDIRECTS = 20
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
NO_ROOM = "free some space, or choose another place with --cache; what is there is kept, run the same command again to go on"


class Refused(Exception):
    """This address does not give the file, and asking again will not help."""


class Cut(Exception):
    """The file did not come whole; asking again may help.

    Attributes:
        wait: Seconds that the server asks to wait.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Line:
    """What a request goes over.

    Attributes:
        client: Has time-outs, and heeds the deadline.
        deadline: For the head of an answer, and for each further piece.
        patience: How slow a server may be.
    """

    client: httpx.Client
    deadline: Deadline
    patience: Patience


def transfer(line: Line, url: str, file: DownloadFile, part: PartFile) -> None:
    """Fetches what a part lacks; on return the part is as long as the server says that the file is.

    Args:
        line: What the request goes over.
        url: The address; redirects are followed.
        file: What is expected.
        part: Where the bytes go.

    Raises:
        Refused: The address does not give the file.
        Cut: Something went wrong on the way; what came is kept where it can be used.
        StorageError: The disk is full.
    """
    import httpx

    headers = {"Accept-Encoding": "identity"}
    if part.resumable(url):
        begun = part.begun
        headers["Range"] = f"bytes={part.size}-"
        if begun is not None and begun.address == address_of(url) and begun.validator is not None:
            headers["If-Range"] = begun.validator
    else:
        part.discard()
    try:
        with _answer(line.client, url, headers) as response:
            _receive(response, url, file, part, line)
    except httpx.TimeoutException:
        raise Cut("no answer in time") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Refused(f"no usable address ({type(error).__name__})") from None
    except httpx.HTTPError as error:  # its text is not shown: it may hold the address that was redirected to, and that may be signed
        if certificate := _of_kind(error, ssl.SSLCertVerificationError):
            raise Refused(f"its certificate is not to be trusted ({certificate.verify_message})") from None
        raise Cut(f"the connection failed ({'no such host' if _of_kind(error, socket.gaierror) else type(error).__name__})") from None


@contextmanager
def _answer(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer at an address, or where it leads to; the bodies of redirects are not read, as httpx would: they could be without end."""
    request: httpx.Request | None = client.build_request("GET", url, headers=headers)
    for _ in range(_MOST_REDIRECTS + 1):
        assert request is not None  # as every redirect has one
        with closing(client.send(request, stream=True, follow_redirects=False)) as response:
            if not response.has_redirect_location:
                yield response
                return
            request = response.next_request
    raise Refused(f"no usable address (more than {_MOST_REDIRECTS} redirects)")


def _of_kind(error: BaseException | None, kind: type[E]) -> E | None:
    """The exception of a kind that led to another."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _receive(response: httpx.Response, url: str, file: DownloadFile, part: PartFile, line: Line) -> None:
    if url.startswith("https:") and response.url.scheme != "https":
        raise Refused("it leads to an address without https")
    if response.status_code == 416:
        _end_reached(response, part)
        return
    if response.status_code not in (200, 206):
        if response.status_code in _PASSING:
            raise Cut(f"HTTP {response.status_code}", retry_after(response.headers.get("Retry-After")))
        raise Refused(f"HTTP {response.status_code}")
    _refuse_other_content(response, file)
    total = _going_on(response, url, part) if response.status_code == 206 else _from_the_start(response, url, file, part)
    if file.size is not None and total not in (None, file.size):
        part.discard()
        raise Refused(f"it announces {total:,} bytes, expected {file.size:,}")
    _take(response, file, part, total, line)


def _end_reached(response: httpx.Response, part: PartFile) -> None:
    """HTTP 416: there is nothing after the bytes that are there, because they are all, or because the file is another now."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not found or found[3] != str(part.size):
        part.discard()
        raise Cut("HTTP 416: the file is shorter than what was fetched before")


def _refuse_other_content(response: httpx.Response, file: DownloadFile) -> None:
    if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
        raise Refused("it gives a web page (a notice, a log-in, a warning) in place of the file")
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity" and not (file.name.endswith(".gz") and coding in ("gzip", "x-gzip")):
        raise Refused(f"it gives the file in the coding {coding!r:.20}, which was not asked for")


def _from_the_start(response: httpx.Response, url: str, file: DownloadFile, part: PartFile) -> int | None:
    total = _length(response)
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if total is None and not chunked and file.size is None and not file.digests:
        raise Refused("it does not say how long the file is, and there is no digest: a cut could not be seen")
    part.begin(url, response.headers.get("ETag"), response.headers.get("Last-Modified"), total)
    return total


def _going_on(response: httpx.Response, url: str, part: PartFile) -> int | None:
    """The announced size of the whole; the bytes must follow those that are there, and be of the same file."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    begun = part.begun
    total = int(found[3]) if found and found[3] != "*" else None
    etag = response.headers.get("ETag")
    other = begun is not None and (
        (None not in (begun.total, total) and begun.total != total)
        or (begun.address == address_of(url) and None not in (begun.etag, etag) and begun.etag != etag)
    )
    if not found or found[1] != str(part.size) or other:
        part.discard()
        raise Cut("it gives other bytes than were asked for, or the file has changed: begun anew")
    return total


def _take(response: httpx.Response, file: DownloadFile, part: PartFile, total: int | None, line: Line) -> None:
    size, pace = part.size, _Pace(line.patience)
    expected = file.size if file.size is not None else total
    if expected is not None:
        check_room([(part.path.parent, expected - size)], NO_ROOM)
    try:
        with part.append() as out:
            for block in response.iter_raw():
                line.deadline.renew()
                if expected is not None and size + len(block) > expected:
                    raise Refused(f"it gives more than the {expected:,} bytes that were expected")
                part.take(block, out, size)
                size += len(block)
                pace.check(len(block))
    except Refused:
        part.discard()
        raise
    except StorageError:
        part.forget_digests()
        raise
    except OSError as error:  # met when the file was closed
        part.forget_digests()
        raise storage_error(error, part.path) or error from error
    if expected is not None and size < expected:
        raise Cut(f"it gives {size:,} bytes, expected {expected:,}")


class _Pace:
    """Ends an answer that drips: each piece comes in time, and the whole never would."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since, self._count = time.monotonic(), 0

    def check(self, count: int) -> None:
        self._count += count
        spent = time.monotonic() - self._since
        if spent < self._patience.read:
            return
        if self._count < self._patience.slowest * spent:
            raise Cut(f"it gives less than {self._patience.slowest:,} bytes a second")
        self._since, self._count = time.monotonic(), 0


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None
