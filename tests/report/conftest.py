"""Runs that several tests of comparison reports look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import succeed


@pytest.fixture(scope="session")
def compared_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Run folders: ``plain`` are three competitors and both references on two mini sets, the others one system under conditions."""
    folder = tmp_path_factory.mktemp("compared")
    shared = ("--metrics", "retrieval,token-f1", "--offline")
    systems = ("bm25-query", "bm25-queries", "bm25-rewrite", "oracle", "random")
    succeed("run", *systems, "-d", "faithdial", "-d", "topiocqa", *shared, "--out", folder / "plain")
    succeed("run", "bm25-query", "-d", "faithdial", "--evidence", "ladder", *shared, "--out", folder / "evidence")
    succeed("run", "bm25-query", "-d", "faithdial", "--history", "ladder", *shared, "--out", folder / "history")
    return {part: sorted(path.parent for path in (folder / part).rglob("results.json")) for part in ("plain", "evidence", "history")}
