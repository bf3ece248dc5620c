"""Digests of files and of JSON-like values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def value_sha256(value: Any) -> str:
    """The sha256 of a JSON-like value in canonical form (sorted keys, no spaces, no NaN)."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()
