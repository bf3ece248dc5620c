"""What the tests of downloads share: content, a manifest's entry for it, patience that does not wait."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.places import Places
from convbench.datasets.download.waiting import Patience

CONTENT = random.Random(7).randbytes(300_000)
OTHER = random.Random(8).randbytes(300_000)
MODIFIED = "Wed, 01 Apr 2020 10:00:00 GMT"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wanted(*urls: str, checked: bool = True, content: bytes = CONTENT, **more: Any) -> DownloadFile:
    """A file to fetch; ``checked``: its size and digest are known."""
    check = {"size": len(content), "sha256": sha256(content)} if checked else {"unchecked": "a test"}
    return DownloadFile.model_validate({"name": "file.bin", "part": "turns", "urls": list(urls), **check, **more})


class Waits:
    """A patience whose waits are written down and not waited."""

    def __init__(self, **more: Any) -> None:
        self.waited: list[float] = []
        self.patience = Patience(sleep=self.waited.append, **{"read": 5.0, **more})


def nothing_unfinished(places: Places, name: str = "file.bin") -> bool:
    """Whether no file lies under the final name."""
    return not places.file(name).exists()
