"""Two small runs that were really made."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import succeed


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("two") / "runs"
    for system, place in (("bm25-query", "a"), ("bm25-rewrite", "deep/b")):
        succeed("run", system, "-d", "topiocqa", "--limit", "2", "--out", out / place, "--metrics", "retrieval,token-f1", "--offline")
    return out
