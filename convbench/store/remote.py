"""Folders behind a URL (``s3://bucket/runs``, ``memory://runs``), read and written through fsspec."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError, ResourceError, StorageError, UsageError
from convbench.store.packages import package

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "obs", "tos", "oci"})
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(place: str) -> bool:
    """Whether a place is named by a URL rather than a path."""
    return _URL.match(place) is not None


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        ResourceError: fsspec, or the package of this kind of URL, is not installed.
        UsageError: The kind of URL is unknown.
    """
    fsspec = package("fsspec", f"read {url}")
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ResourceError(f"{url}: {error}") from None
    except ValueError as error:
        raise UsageError(f"{url}: {error}; expected a URL that fsspec knows (s3://..., gs://..., file://...)") from None
    except Exception as error:
        raise StorageError(f"{url}: cannot be reached: {error}") from error
    return system, str(path).rstrip("/")


def protocols_of(system: Any) -> tuple[str, ...]:
    """The kinds of URL that a file system is for: ``("s3", "s3a")``."""
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def path_of(url: str) -> Path | None:
    """The path that a ``file://`` URL names; None for any other kind."""
    if not url.startswith(("file://", "local://")):
        return None
    return Path(file_system(url)[1])


def make_folder(system: Any, path: str) -> None:
    """Makes the folder of a file, where the file system has folders. An object store has none, and would make a bucket of that name."""
    if not _OBJECT_STORES & set(protocols_of(system)):
        system.makedirs(path, exist_ok=True)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turns what a remote file system raises into one line: each kind has errors of its own, most of them no ``OSError``.

    Raises:
        StorageError: The place cannot be read or written.
    """
    try:
        yield
    except ConvbenchError:
        raise
    except Exception as error:
        raise StorageError(f"{url}: cannot be reached: {type(error).__name__}: {error}; check address and access") from error
