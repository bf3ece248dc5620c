"""Data inside the page: compressed, so that thousands of turns fit, and in letters that no HTML parser takes for anything else."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from typing import Any


def packed_bytes(content: bytes) -> str:
    """Base64 of gzip; the same content gives the same text."""
    return b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def packed(value: Any) -> str:
    """A value as JSON in UTF-8, packed. Half a surrogate pair, which UTF-8 has no bytes for, becomes ``?``."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return packed_bytes(text.encode("utf-8", errors="replace"))
