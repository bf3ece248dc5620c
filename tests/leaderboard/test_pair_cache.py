from __future__ import annotations

from pathlib import Path

import pytest

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.harness.placed import PlacedPart
from convbench.harness.truth import Truth
from convbench.leaderboard.card import Card
from convbench.leaderboard.checks import check_copies
from convbench.leaderboard.measures import parts_of
from convbench.leaderboard.pairs import PairCache, scores_of
from convbench.leaderboard.track import Track, read_track, track_names
from convbench.metrics.protocol import ScoringPart
from convbench.metrics.rouge import RougeMetric
from convbench.systems.catalog import shipped
from convbench.types import Reference, Turn, TurnRecord

DATASET = open_dataset(DatasetRequest("topiocqa"))
RECORDS = {turn.id: TurnRecord(turn.id, response=turn.query if turn.number % 2 else "The same answer.") for turn in DATASET.turns}
TRACKS = shipped("leaderboards")


@pytest.fixture
def placed() -> PlacedPart:
    part = ScoringPart("", 1, "has a reference", "zero", RougeMetric(measures=["rouge1", "rougeL"]))
    return PlacedPart.of(part, DATASET, Truth(DATASET))


def test_looked_up_values_are_the_computed_ones(placed: PlacedPart, tmp_path: Path) -> None:
    pairs, plain = PairCache(tmp_path / "pairs.sqlite"), scores_of(placed, RECORDS, None, None)
    assert scores_of(placed, RECORDS, None, pairs) == plain
    assert scores_of(placed, RECORDS, None, pairs) == plain
    assert scores_of(placed, {}, None, pairs) == scores_of(placed, {}, None, None)


def test_pairs_that_are_known_are_not_compared_again(placed: PlacedPart, tmp_path: Path) -> None:
    class Counting(RougeMetric):
        asked = 0

        def score(self, turns, records):
            self.asked += len(turns)
            return super().score(turns, records)

    metric = Counting(measures=["rougeL"])
    counted = PlacedPart(ScoringPart("", 1, "all", "zero", metric), placed.chosen, placed.turns, placed.data, placed.truth)
    scores_of(counted, RECORDS, None, PairCache(tmp_path / "pairs.sqlite"))
    assert metric.asked == len(DATASET.turns)
    scores_of(counted, RECORDS, None, PairCache(tmp_path / "pairs.sqlite"))
    assert metric.asked == len(DATASET.turns)
    scores_of(counted, {**RECORDS, "1_1": TurnRecord("1_1", response="Another answer.")}, None, PairCache(tmp_path / "pairs.sqlite"))
    assert metric.asked == len(DATASET.turns) + 1


@pytest.mark.parametrize("damage", [b"no database", None])
def test_a_cache_that_cannot_be_used_is_done_without(placed: PlacedPart, tmp_path: Path, damage: bytes | None) -> None:
    file = tmp_path / "pairs.sqlite"
    file.write_bytes(damage) if damage else file.mkdir()
    assert scores_of(placed, RECORDS, None, PairCache(file)) == scores_of(placed, RECORDS, None, None)


@pytest.mark.parametrize("name", track_names(TRACKS))
def test_every_measure_of_a_shipped_track_is_found_and_nothing_else(name: str) -> None:
    track = read_track(TRACKS, name)
    parts = parts_of(track, open_dataset(DatasetRequest(track.dataset)))
    ready = [part for part in parts if part.metric.name != "bertscore"]
    wanted = [measure for side in (track.retrieval, track.response) if side for measure in side.measures]
    found = [measure.name for part in ready for measure in part.metric.measures()]
    assert sorted(found) == sorted(measure for measure in wanted if not measure.startswith("bertscore"))
    if track.protocol:
        assert parts[0].protocol == track.protocol


def copied(responses: list[str], references: list[str], kind: str = "unified") -> list[str]:
    turns = [Turn(f"c_{n}", "?", references=(Reference(text), Reference("known", "knowledge"))) for n, text in enumerate(references, 1)]
    records = {turn.id: TurnRecord(turn.id, response=text) for turn, text in zip(turns, responses, strict=True)}
    card = Card.model_validate({"id": "a", "track": "t", "name": "A", "kind": kind, "submitted": "2026-01-02"})
    return [finding.check for finding in check_copies(card, records, turns)]


def test_copies_are_told_from_chance() -> None:
    own = [f"answer number {n}" for n in range(100)]
    assert copied([*own[:31], *["no"] * 69], own) == ["responses-copied"]
    assert copied([*own[:30], *["no"] * 70], own) == []
    assert copied(own, own, "oracle") == ["gold-shown"]
    unanswered = ["CANNOTANSWER"] * 60 + own[:40]
    assert copied(["Cannotanswer."] * 100, unanswered) == []  # who always says so is often right
    assert copied(unanswered, unanswered) == ["responses-copied"]
    assert copied(["known"] * 100, own) == []
    assert copied(["", "!"], ["", "?"]) == []


def test_a_track_without_responses_needs_none() -> None:
    track = read_track(TRACKS, "topiocqa-mini").model_copy(update={"response": None})
    assert [part.metric.name for part in parts_of(Track.model_validate(track.model_dump()), DATASET)] == ["retrieval"]
