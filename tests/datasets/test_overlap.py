from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convbench.datasets.comparable import compared_set, open_others, parse_other, store_at_hand
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.overlap import ComparedSet, Overlap, overlaps, units_of
from convbench.errors import DataError, UsageError
from convbench.types import Conversation, Exchange, Passage, Reference, Turn, qrels_of

if TYPE_CHECKING:
    from conftest import StoreOf


def talk(id_: str, *turns: Turn) -> Conversation:
    return Conversation(id_, "test", "dev", turns)


def by_kind(found: list[Overlap]) -> dict[str, tuple[int, int, int]]:
    return {pair.kind: (pair.common, pair.first_count, pair.second_count) for pair in found}


def test_units_are_compared_without_case_blanks_and_punctuation(store_of: StoreOf) -> None:
    ours = [
        talk("a", Turn("a_1", "How do otters sleep?", (), (Reference("On their backs!"),), {"p1": 1}, "How do SEA otters sleep?", "Otter")),
        talk("b", Turn("b_1", "why?", (), (Reference("So."),), {"p2": 1})),
    ]
    theirs = [
        talk("x", Turn("x_4", "how do otters  sleep", (Exchange("x_1", "Why"),), (Reference("on their backs"),), {"q1": 1}, None, "OTTER")),
        talk("y", Turn("y_1", "why", (), (Reference("Because."),), {"p2": 1}, "how do sea otters sleep")),
    ]
    first = units_of(ours, qrels_of([t for c in ours for t in c.turns]), store_of([Passage("p1", "They float."), Passage("p2", "x")]))
    second = units_of(theirs, qrels_of([t for c in theirs for t in c.turns]), store_of([Passage("q1", "they float"), Passage("p2", "y")]))
    found = list(overlaps([ComparedSet("ours", first), ComparedSet("theirs", second)]))
    assert by_kind(found) == {
        "first questions": (1, 2, 1),  # both of theirs begin with "why", one of them only in its history
        "questions": (1, 1, 1),  # "why" is too short to mean anything
        "rewrites": (1, 1, 1),
        "questions with response": (1, 2, 2),
        "gold ids": (1, 2, 2),
        "gold texts": (1, 2, 2),
        "topics": (1, 1, 1),
    }
    questions = next(pair for pair in found if pair.kind == "questions with response")
    assert (questions.first, questions.second, questions.examples) == ("ours", "theirs", ("a_1 = x_4",))
    assert (questions.first_share, questions.second_share) == (0.5, 0.5)


def test_grade_zero_is_no_gold_and_what_one_side_lacks_is_left_out() -> None:
    bare = units_of([talk("a", Turn("a_1", "why?"))], {"a_1": {"p": 0}}, None)
    assert by_kind(list(overlaps([ComparedSet("x", bare), ComparedSet("y", bare)]))) == {"first questions": (1, 1, 1)}


def test_every_pair_once() -> None:
    units = units_of([talk("a", Turn("a_1", "why?"))], {}, None)
    sets = [ComparedSet(label, units) for label in "abc"]
    assert [(pair.first, pair.second) for pair in overlaps(sets)] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_naming_other_datasets() -> None:
    assert parse_other("qrecc:test=data/a=b") == DatasetRequest("qrecc", Path("data/a=b"), "test")
    assert parse_other("qrecc=data") == DatasetRequest("qrecc", Path("data"))
    for text in ("qrecc", "qrecc=", "=data", "qrecc:=data", ""):
        with pytest.raises(UsageError, match="expected NAME=DIR or NAME:SPLIT=DIR"):
            parse_other(text)


def test_other_splits_are_found_and_those_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for split, text in {"train": "why?", "dev": "who?", "test": ""}.items():
        row = {"conversation_id": split, "turn": 1, "query": text}
        (tmp_path / f"conversations.{split}.jsonl").write_text(json.dumps(row))
    named = DatasetRequest("generic", tmp_path, "dev")
    unread, train, again = open_others(DatasetRequest("generic", tmp_path, "dev", limit=1), "dev", [named])
    assert isinstance(train, Dataset)
    assert train.split == "train"
    assert isinstance(unread, str)
    assert " test: " in unread
    assert "conversations.test.jsonl:1: field 'query' is empty" in unread
    assert isinstance(again, Dataset)
    assert again.split == "dev"
    with pytest.raises(DataError, match="field 'query' is empty"):
        list(open_others(DatasetRequest("generic", tmp_path, "dev"), "dev", [DatasetRequest("generic", tmp_path, "test")]))


class TestRealSamples:
    """What docs/datasets.md prints under "Overlap measured on the samples"."""

    PLACES = {("topiocqa", "dev"): "topiocqa/hub", ("cast", "2019"): "trec_cast", ("cast", "2020"): "trec_cast"}  # noqa: RUF012 - fixed

    def compared(self, place: Path, name: str, split: str, cache: Path) -> ComparedSet:
        dataset = open_dataset(DatasetRequest(name, place / self.PLACES.get((name, split), name), split=split))
        return compared_set(dataset, store_at_hand(dataset, cache))

    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            (
                ("qrecc", "dev"),
                ("orquac", "dev"),
                {"first questions": (6, 800, 191), "questions": (54, 1172, 1243), "rewrites": (10, 1259, 1415)},
            ),
            (
                ("topiocqa", "dev"),
                ("topiocqa", "train"),
                {
                    "first questions": (2, 120, 399),
                    "questions": (112, 1341, 4489),
                    "questions with response": (5, 1465, 5071),
                    "topics": (60, 435, 1463),
                },
            ),
            (("qrecc", "dev"), ("topiocqa", "dev"), {"questions": (11, 1172, 1341)}),
            (("cast", "2019"), ("cast", "2020"), {"questions": (1, 452, 210), "gold ids": (3, 6485, 5687)}),
        ],
    )
    def test_the_printed_figures(
        self,
        real_data: Path,
        tmp_path: Path,
        first: tuple[str, str],
        second: tuple[str, str],
        expected: dict[str, tuple[int, int, int]],
    ) -> None:
        sets = [self.compared(real_data, name, split, tmp_path) for name, split in (first, second)]
        assert {kind: counts for kind, counts in by_kind(list(overlaps(sets))).items() if counts[0]} == expected

    def test_questions_of_cast_2019_are_in_the_test_set_of_qrecc(self, real_data: Path, tmp_path: Path) -> None:
        """The sample's nine official conversations are of other sources, so the questions that SCAI's annotators judged stand in for it."""
        with (real_data / "qrecc" / "scai_annotation" / "batch1-top1.csv").open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        turns = [Turn(f"{row['conversation_no']}_{row['turn_no']}", row["question"], rewrite=row["question"]) for row in rows]
        scai = ComparedSet("qrecc test, annotated", units_of([talk(turn.id, turn) for turn in turns], {}, None))
        found = by_kind(list(overlaps([scai, self.compared(real_data, "cast", "2019", tmp_path)])))
        assert (found["questions"], found["rewrites"]) == ((4, 48, 452), (9, 48, 469))
