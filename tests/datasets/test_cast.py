from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convbench.config import load_config
from convbench.datasets.base import DatasetAdapter, DatasetCard, DatasetSource
from convbench.datasets.cast import CAsT
from convbench.errors import DataError, MissingFileError
from convbench.types import Conversation, Exchange, Passage, Turn

PACKAGE = Path(__file__).parents[2] / "convbench" / "datasets"
TIDES = ["Why are there tides?", "And two a day? ", "Which bay has the highest?"]


def topic(number: int = 31, **extra: list[str]) -> dict[str, Any]:
    turns = [{"number": n, "raw_utterance": text} for n, text in enumerate(TIDES, 1)]
    for field, values in extra.items():
        for turn, value in zip(turns, values, strict=True):
            turn[field] = value
    return {"number": number, "title": "tides", "turn": turns}


def write(path: Path, topics: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(topics))
    return path


def year_2019(root: Path) -> tuple[Path, Path, Path]:
    topics = write(root / "evaluation" / "evaluation_topics_v1.0.json", [topic(31), topic(32)])
    resolved = root / "evaluation" / "evaluation_topics_annotated_resolved_v1.0.tsv"
    resolved.write_bytes(b"31_1\tWhy are there tides?\r\n31_2\tWhy are there two tides a day?\r\n")
    qrels = root / "2019qrels.txt"
    qrels.write_text("31_1 Q0 MARCO_1 4\n31_1 Q0 CAR_a 0\n31_1 Q0 CAR_b 1\n31_2 Q0 CAR_a 0\n")
    return topics, resolved, qrels


def adapter(root: Path, split: str = "2019", corpus: Path | None = None) -> CAsT:
    return CAsT(DatasetSource(root, split, corpus))


def turns(conversations: list[Conversation]) -> list[Turn]:
    return [turn for conversation in conversations for turn in conversation.turns]


def test_is_an_adapter_whose_constructor_opens_nothing(tmp_path: Path) -> None:
    made = adapter(tmp_path / "absent")
    assert isinstance(made, DatasetAdapter)
    with pytest.raises(MissingFileError, match="no such folder"):
        made.files()


def test_2019_rewrites_grades_and_history_without_responses(tmp_path: Path) -> None:
    files = year_2019(tmp_path)
    made = adapter(tmp_path)
    assert made.files() == files
    first, second, third, *unjudged = turns(list(made.conversations()))
    assert first == Turn("31_1", TIDES[0], gold={"MARCO_1": 4, "CAR_b": 1}, rewrite="Why are there tides?")
    assert (second.rewrite, second.gold, third.rewrite) == ("Why are there two tides a day?", {}, None)
    assert third.history == (Exchange("31_1", TIDES[0], None, first.rewrite), Exchange("31_2", TIDES[1], None, second.rewrite))
    assert made.qrels() == {"31_1": {"MARCO_1": 4, "CAR_a": 0, "CAR_b": 1}, "31_2": {"CAR_a": 0}}
    assert [made.retrieval_turn(turn) for turn in (first, second, third)] == [True, True, False]
    assert [turn.id for turn in unjudged] == ["32_1", "32_2", "32_3"]


def test_topics_alone_are_enough(tmp_path: Path) -> None:
    topics, _, _ = year_2019(tmp_path)
    made = adapter(topics)
    assert made.files() == (topics,)
    assert len(turns(list(made.conversations()))) == 6
    assert made.qrels() == {}


def test_2020_prefers_the_manual_file_for_its_rewrites(tmp_path: Path) -> None:
    automatic = write(tmp_path / "2020_automatic_evaluation_topics_v1.0.json", [topic(81, automatic_rewritten_utterance=["a", "b", "c"])])
    assert adapter(tmp_path, "2020").files() == (automatic,)
    assert [turn.rewrite for turn in turns(list(adapter(tmp_path, "2020").conversations()))] == [None, None, None]
    manual = write(tmp_path / "2020_manual_evaluation_topics_v1.0.json", [topic(81, manual_rewritten_utterance=["d", "e", "f"])])
    assert adapter(tmp_path, "2020").files() == (manual,)
    assert [turn.rewrite for turn in turns(list(adapter(tmp_path, "2020").conversations()))] == ["d", "e", "f"]


def test_2021_history_holds_the_canonical_passages(tmp_path: Path) -> None:
    write(tmp_path / "2021_manual_evaluation_topics_v1.0.json", [topic(106, passage=["The moon pulls.", "The earth turns.", "Fundy."])])
    *_, last = turns(list(adapter(tmp_path, "2021").conversations()))
    assert [exchange.response for exchange in last.history] == ["The moon pulls.", "The earth turns."]


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ([topic(31), topic(31)], r"record 1\]: topic 31 appears twice"),
        ([{"number": 31, "turn": topic()["turn"][1:]}], r"record 0\.turn\[0\]\]: topic 31: expected turn 1, found 2"),
        ([{"number": "31", "turn": []}], r"record 0\]: field 'number': expected an integer"),
        ([{"number": 31}], r"record 0\]: field 'turn' is missing"),
        ([{"number": 31, "turn": [{"number": 1, "raw_utterance": " "}]}], r"field 'raw_utterance' is empty"),
    ],
)
def test_broken_topics_are_named(tmp_path: Path, topics: list[dict[str, Any]], message: str) -> None:
    write(tmp_path / "evaluation_topics_v1.0.json", topics)
    with pytest.raises(DataError, match=message):
        list(adapter(tmp_path).conversations())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("31_3 What?", r"resolved_v1\.0\.tsv:3: expected 'turn_id<TAB>text'"),
        ("31_3\t", r"resolved_v1\.0\.tsv:3: expected 'turn_id<TAB>text'"),
        ("31_1\tWhat?", r"resolved_v1\.0\.tsv:3: turn 31_1 has two resolved utterances"),
        ("99_1\tWhat?", r"resolved_v1\.0\.tsv: turn 99_1 is not in .*take topics and this file from the same year"),
    ],
)
def test_broken_resolved_utterances_are_named(tmp_path: Path, line: str, message: str) -> None:
    _, resolved, _ = year_2019(tmp_path)
    resolved.write_bytes(resolved.read_bytes() + line.encode() + b"\n")
    with pytest.raises(DataError, match=message):
        list(adapter(tmp_path).conversations())


def test_judgements_of_another_year_are_refused(tmp_path: Path) -> None:
    _, _, qrels = year_2019(tmp_path)
    qrels.write_text("81_1 0 MARCO_1 4\n")
    with pytest.raises(DataError, match=r"2019qrels\.txt: turn 81_1 is not in"):
        adapter(tmp_path).qrels()


def test_collection_is_json_lines(tmp_path: Path) -> None:
    year_2019(tmp_path)
    with pytest.raises(MissingFileError, match=r"no file for the CAsT passages: expected passages\*\.jsonl"):
        adapter(tmp_path).collection()
    path = tmp_path / "passages.jsonl"
    path.write_text('{"id": "MARCO_1", "contents": "The moon pulls."}\n')
    assert list(adapter(tmp_path).collection().passages()) == [Passage("MARCO_1", "The moon pulls.")]


def test_card_agrees_with_the_adapter() -> None:
    card = load_config(DatasetCard, PACKAGE / "cards" / "cast.yaml")
    assert (card.name, set(card.splits), card.bm25) == (CAsT.name, set(CAsT.splits.values()), {"k1": 0.9, "b": 0.4})


@pytest.mark.parametrize(
    ("split", "topics", "turns_", "judged_topics", "judged", "rows", "rewritten"),
    [
        ("2019", 50, 479, 20, 173, 29350, 479),
        ("2019-train", 30, 269, 13, 120, 2397, 0),
        ("2020", 25, 216, 25, 208, 40451, 216),
    ],
)
def test_real_counts(
    real_data: Path, split: str, topics: int, turns_: int, judged_topics: int, judged: int, rows: int, rewritten: int
) -> None:
    made = adapter(real_data / "trec_cast", split)
    conversations = list(made.conversations())
    found = turns(conversations)
    assert (len(conversations), len(found), sum(turn.rewrite is not None for turn in found)) == (topics, turns_, rewritten)
    counted = [turn for turn in found if made.retrieval_turn(turn)]
    assert (len({turn.conversation_id for turn in counted}), len(counted), len(made.qrels())) == (judged_topics, judged, judged)
    # 2019-train has 2,399 rows, two of them repeated.
    assert sum(map(len, made.qrels().values())) == rows
    card = load_config(DatasetCard, PACKAGE / "cards" / "cast.yaml").splits[split]
    assert (card.conversations, card.turns, card.verified) == (topics, turns_, True)
