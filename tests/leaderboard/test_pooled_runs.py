"""Runs on a pool stand on no leaderboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import succeed
from submission_folders import card, records, track_of

from convbench.errors import UsageError
from convbench.harness.results import read_results
from convbench.leaderboard.answers import Answers
from convbench.leaderboard.card import Card
from convbench.leaderboard.fitting import misfits
from convbench.leaderboard.pack import pack
from convbench.types import Run, TurnRecord

ANSWERS = Answers(submitted="2026-01-02", authors="A. Author", links={"code": "https://example.org/code"}, training=())


@pytest.fixture(scope="module")
def pooled(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pooled-board")
    succeed("data", "pool", "topiocqa", "--system", "bm25-query", "--depth", 1, "--out", root / "pool", "--offline")
    arguments = ("-d", "topiocqa", "--corpus", root / "pool", "--metrics", "retrieval", "--offline")
    succeed("run", "bm25-query", *arguments, "--out", root / "run")
    return root / "run"


@pytest.mark.parametrize("tier", ["mini", "sample", "full"])
def test_packing_refuses_them_on_every_track(pooled, tmp_path, tier):
    dataset = read_results(pooled / "results.json").dataset
    track = track_of(tmp_path, tier=tier, turnset_sha256=dataset.turnset_sha256, collection_sha256=dataset.collection_sha256)
    with pytest.raises(UsageError, match=rf"run on a pool, and the track toy is of the {tier} collection: run it there"):
        pack(pooled, track, tmp_path, ANSWERS)
    assert not (tmp_path / "toy" / "submissions").exists()


@pytest.mark.parametrize("sha256", [None, "c" * 64])
def test_reading_refuses_a_header_that_names_a_pool(tmp_path, sha256):
    track = track_of(tmp_path, collection_sha256=sha256)
    lines = {line["turn_id"]: TurnRecord(line["turn_id"], passages=(("a", 1.0),)) for line in records()}

    def found(origin: str) -> list[str]:
        run = Run({"collection": {"origin": origin, "sha256": sha256, "passages": 3}}, lines)
        return [each.message for each in misfits(Card.model_validate(card("one")), run, track) if each.check == "other-collection"]

    assert found("corpus") == []
    (message,) = found("pooled")
    assert "its header says that a pool was searched: run on the track's collection" in message
