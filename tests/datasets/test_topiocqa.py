from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from convbench.config import load_config
from convbench.datasets.base import DatasetAdapter, DatasetCard, DatasetSource
from convbench.datasets.topiocqa import TopiOCQA
from convbench.errors import DataError, MissingFileError
from convbench.io.trec import read_qrels
from convbench.types import Conversation, Exchange, Passage, Reference, Turn

PACKAGE = Path(__file__).parents[2] / "convbench" / "datasets"

LIGHTHOUSE = [
    ("who built the lighthouse of kallo?", "A stonemason called Berit."),
    ("and when", "UNANSWERABLE"),
    ("is it still lit?", "Yes."),
]
BAKERY = [("what’s rye bread made of?", "Rye flour and water."), ("does it keep long", "About a week.")]


def raw(conversations: dict[int, list[tuple[str, str]]], **extra: Any) -> list[dict[str, Any]]:
    records = []
    for number, exchanges in conversations.items():
        context: list[str] = []
        for n, (question, answer) in enumerate(exchanges, 1):
            topic = "" if answer == "UNANSWERABLE" else "Kallo"
            fixed = {"Conversation_no": number, "Turn_no": n, "Question": question, "Answer": answer, "Context": list(context)}
            records.append({**fixed, "is_nq": n == 1, "Topic": topic, "Topic_section": topic and "History", **extra})
            context += [question, answer]
    return records


def with_gold(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**r, "Gold_passage": gold(f"{r['Conversation_no']}{r['Turn_no']}")} for r in records]


def gold(id_: str, text: str = "") -> dict[str, str]:
    return {"id": id_, "title": f"Title {id_}", "text": text or f"Text {id_}."}


def dpr(conversations: dict[int, list[tuple[str, str]]], variant: str = "original") -> list[dict[str, Any]]:
    records = []
    for number, exchanges in conversations.items():
        for n, (question, answer) in enumerate(exchanges, 1):
            earlier = [text for pair in exchanges[: n - 1] for text in pair] if variant == "all_history" else []
            asked = " [SEP] ".join([*earlier, question.lower().replace("?", "").replace("’", "'")])
            passage = {"title": f"Title {number}{n}", "text": f"Text {number}{n}.", "passage_id": f"{number}{n}"}
            record = {"question": asked, "answers": [answer], "positive_ctxs": [passage], "conv_id": number, "turn_id": n}
            records.append({**record, "negative_ctxs": [], "hard_negative_ctxs": []})
    return records


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.name.removesuffix(".gz").endswith(".jsonl")
    text = "".join(json.dumps(r) + "\n" for r in records) if lines else json.dumps(records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def adapter(root: Path, split: str = "dev", corpus: Path | None = None) -> TopiOCQA:
    return TopiOCQA(DatasetSource(root, split, corpus))


def turns(conversations: list[Conversation]) -> list[Turn]:
    return [turn for conversation in conversations for turn in conversation.turns]


def test_is_an_adapter_whose_constructor_opens_nothing(tmp_path: Path) -> None:
    made = adapter(tmp_path / "absent")
    assert isinstance(made, DatasetAdapter)
    with pytest.raises(MissingFileError, match="no such folder"):
        made.files()


def test_first_release_has_history_labels_topics_and_no_gold(tmp_path: Path) -> None:
    path = write(tmp_path / "deep" / "topiocqa_dev.json", raw({7: LIGHTHOUSE, 3: BAKERY}))
    made = adapter(tmp_path)
    conversations = list(made.conversations())
    assert [(c.id, c.dataset, c.split, len(c.turns)) for c in conversations] == [("7", "topiocqa", "dev", 3), ("3", "topiocqa", "dev", 2)]
    first, second, third = conversations[0].turns
    assert first == Turn(
        "7_1",
        LIGHTHOUSE[0][0],
        references=(Reference(LIGHTHOUSE[0][1]),),
        topic="Kallo",
        labels={"answerable": "yes", "is_nq": "yes", "section": "History"},
    )
    assert (second.topic, second.labels, second.references) == (None, {"answerable": "no", "is_nq": "no"}, (Reference("UNANSWERABLE"),))
    assert third.history == (Exchange("7_1", *LIGHTHOUSE[0]), Exchange("7_2", "and when", "UNANSWERABLE"))
    assert made.files() == (path,)
    assert made.qrels() == {}
    assert not made.retrieval_turn(first)
    with pytest.raises(MissingFileError, match="no gold passages that could stand in"):
        made.collection()


@pytest.mark.parametrize(
    ("additional", "texts"),
    [
        ([], []),
        ({}, []),
        (None, []),
        ([{"Answer": "Berit did."}, {"Answer": "A mason."}], ["Berit did.", "A mason."]),
        ({"Answer": ["Berit did."], "Topic": ["Kallo"]}, ["Berit did."]),
    ],
)
def test_additional_answers_in_every_layout(tmp_path: Path, additional: Any, texts: list[str]) -> None:
    write(tmp_path / "topiocqa_dev.json", raw({1: LIGHTHOUSE[:1]}, Additional_answers=additional, Rationale="carved on the door"))
    (turn,) = turns(list(adapter(tmp_path).conversations()))
    assert turn.references == (Reference(LIGHTHOUSE[0][1]), *(Reference(text, "additional") for text in texts))


@pytest.mark.parametrize("additional", [["Berit did."], "Berit did.", {"Topic": ["Kallo"]}, [{"Text": "x"}]])
def test_odd_additional_answers_are_an_error(tmp_path: Path, additional: Any) -> None:
    write(tmp_path / "topiocqa_dev.json", raw({1: LIGHTHOUSE[:1]}, Additional_answers=additional))
    with pytest.raises(DataError, match=r"topiocqa_dev\.json \[record 0"):
        list(adapter(tmp_path).conversations())


def test_hub_layout_and_gold_union(tmp_path: Path) -> None:
    records = with_gold(raw({1: LIGHTHOUSE}))
    records[2]["Gold_passage"] = records[0]["Gold_passage"]
    path = write(tmp_path / "topiocqa_valid.jsonl", records)
    write(tmp_path / "retriever" / "original" / "dev.json", dpr({1: BAKERY}))
    made = adapter(tmp_path)
    assert made.qrels() == {"1_1": {"11": 1}, "1_2": {"12": 1}, "1_3": {"11": 1}}
    assert all(map(made.retrieval_turn, turns(list(made.conversations()))))
    assert made.files() == (path,)
    collection = made.collection()
    assert (collection.origin, collection.files) == ("gold-union", (path,))
    assert list(collection.passages()) == [Passage("11", "Text 11.", "Title 11"), Passage("12", "Text 12.", "Title 12")]


def test_gold_union_refuses_two_texts_of_one_id(tmp_path: Path) -> None:
    records = with_gold(raw({1: LIGHTHOUSE}))
    records[2]["Gold_passage"] = gold("11", "Another text.")
    write(tmp_path / "topiocqa_valid.jsonl", records)
    with pytest.raises(DataError, match=r"topiocqa_valid\.jsonl:3: passage '11' has two texts"):
        list(adapter(tmp_path).collection().passages())


def test_corpus_is_found_below_the_root_or_named(tmp_path: Path) -> None:
    write(tmp_path / "data" / "topiocqa_valid.jsonl", with_gold(raw({1: LIGHTHOUSE})))
    corpus = tmp_path / "elsewhere" / "full_wiki_segments.part.tsv"
    corpus.parent.mkdir()
    corpus.write_text("id\ttext\ttitle\n11\tText 11.\tTitle 11\n")
    named = adapter(tmp_path / "data", corpus=corpus).collection()
    found = adapter(tmp_path).collection()
    assert (named.origin, named.files) == (found.origin, found.files) == ("corpus", (corpus,))
    assert list(found.passages()) == [Passage("11", "Text 11.", "Title 11")]
    with pytest.raises(MissingFileError, match="no file for the TopiOCQA corpus"):
        adapter(tmp_path, corpus=tmp_path / "data").collection()


def test_a_root_that_is_the_file_itself_has_no_companions(tmp_path: Path) -> None:
    path = write(tmp_path / "topiocqa_dev.json", raw({1: LIGHTHOUSE}))
    write(tmp_path / "retriever" / "original" / "dev.json", dpr({1: LIGHTHOUSE}))
    made = adapter(path)
    assert made.files() == (path,)
    assert len(turns(list(made.conversations()))) == 3
    assert made.qrels() == {}


@pytest.mark.parametrize("variant", ["original", "all_history"])
def test_gold_is_joined_from_a_dpr_file(tmp_path: Path, variant: str) -> None:
    raw_path = write(tmp_path / "topiocqa_dev.json", raw({1: LIGHTHOUSE, 2: BAKERY}))
    dpr_path = write(tmp_path / "retriever" / variant / "dev.json", dpr({1: LIGHTHOUSE, 2: BAKERY}, variant))
    made = adapter(tmp_path)
    assert made.files() == (raw_path, dpr_path)
    assert made.qrels() == {id_: {id_.replace("_", ""): 1} for id_ in ("1_1", "1_2", "1_3", "2_1", "2_2")}
    assert made.collection().origin == "gold-union"


def test_renumbered_conversations_are_not_joined(tmp_path: Path) -> None:
    write(tmp_path / "topiocqa_dev.json", raw({1: LIGHTHOUSE, 2: BAKERY}))
    write(tmp_path / "retriever" / "original" / "dev.json", dpr({1: BAKERY, 2: LIGHTHOUSE}))
    with pytest.raises(DataError, match=r"\[record 0\]: turn 1_1 asks 'who built .* renumbered after TopiOCQA's first release"):
        adapter(tmp_path).qrels()


def test_a_dpr_file_that_lacks_a_turn_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "topiocqa_dev.json", raw({1: LIGHTHOUSE}))
    write(tmp_path / "retriever" / "original" / "dev.json", dpr({1: LIGHTHOUSE[:2]}))
    with pytest.raises(DataError, match=r"turn 1_3 asks .* has no such turn under that number"):
        adapter(tmp_path).qrels()


def test_several_dpr_files_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "topiocqa_dev.json", raw({1: LIGHTHOUSE}))
    for variant in ("original", "all_history"):
        write(tmp_path / "retriever" / variant / "dev.json", dpr({1: LIGHTHOUSE}, variant))
    with pytest.raises(MissingFileError, match=r"2 candidates.*retriever/all_history/dev\.json, retriever/original/dev\.json"):
        adapter(tmp_path).qrels()


@pytest.mark.parametrize("as_file", [True, False])
def test_a_dpr_file_alone_is_enough(tmp_path: Path, as_file: bool) -> None:
    path = write(tmp_path / "retriever" / "all_history" / "dev.json.gz", dpr({4: LIGHTHOUSE}, "all_history"))
    made = adapter(path if as_file else tmp_path)
    first, second, third = turns(list(made.conversations()))
    assert (first.id, first.query, first.labels) == ("4_1", "who built the lighthouse of kallo", {"answerable": "yes"})
    assert second.labels == {"answerable": "no"}
    assert third.history == (Exchange("4_1", first.query, LIGHTHOUSE[0][1]), Exchange("4_2", "and when", "UNANSWERABLE"))
    assert made.qrels()["4_3"] == {"43": 1}
    assert made.files() == (path,)


def test_a_dpr_file_of_rewrites_does_not_stand_in_for_the_questions(tmp_path: Path) -> None:
    write(tmp_path / "retriever" / "rewrites_t5_qrecc" / "dev.json", dpr({4: LIGHTHOUSE}))
    with pytest.raises(DataError, match="holds rewrites, not the questions asked"):
        list(adapter(tmp_path).conversations())


def test_a_numeric_passage_id_becomes_a_string(tmp_path: Path) -> None:
    write(tmp_path / "topiocqa_valid.jsonl", raw({1: LIGHTHOUSE[:1]}, Gold_passage={"id": 5, "title": "T", "text": "t"}))
    assert adapter(tmp_path).qrels() == {"1_1": {"5": 1}}


def changed(index: int, **values: Any) -> list[dict[str, Any]]:
    records = raw({1: LIGHTHOUSE, 2: BAKERY})
    records[index] |= values
    return records


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            changed(1, Context=["who built it?", LIGHTHOUSE[0][1]]),
            r"turn 1_2: .* text 1 is 'who built it\?', expected the question of turn 1",
        ),
        (changed(1, Context=[]), r"record 1\]: .* text 1 is missing, expected the question of turn 1"),
        (changed(0, Context=["hello"]), r"text 1 is 'hello', expected nothing more"),
        (changed(1, Turn_no=3), r"record 1\]: conversation 1: found turn 3, expected turn 2"),
        (changed(0, Turn_no=0), r"record 0\]: conversation 1: found turn 0, expected turn 1"),
        (changed(4, Conversation_no=1), r"record 4\]: conversation 1 goes on here after others"),
        (changed(0, Question="  "), r"record 0\]: field 'Question' is empty"),
        (changed(0, Answer=""), r"record 0\]: field 'Answer' is empty"),
        (changed(0, Answer=None), r"record 0\]: field 'Answer': expected a string, found null"),
        (changed(0, Turn_no="1"), r"record 0\]: field 'Turn_no': expected an integer"),
        (changed(0, Context="x"), r"record 0\]: field 'Context': expected a list"),
        (changed(0, is_nq="yes"), r"record 0\]: field 'is_nq': expected true or false"),
        (changed(0, Gold_passage=None), r"record 0\]: field 'Gold_passage': expected an object, found null"),
        ([], r"topiocqa_dev\.json: holds no turns"),
    ],
)
def test_broken_records_are_named(tmp_path: Path, records: list[dict[str, Any]], message: str) -> None:
    write(tmp_path / "topiocqa_dev.json", records)
    with pytest.raises(DataError, match=message):
        adapter(tmp_path).qrels()


@pytest.mark.parametrize("field", ["positive_ctxs", "answers"])
def test_a_dpr_record_without_gold_or_answer_is_an_error(tmp_path: Path, field: str) -> None:
    records = dpr({1: LIGHTHOUSE})
    records[1][field] = []
    write(tmp_path / "retriever" / "original" / "dev.json", records)
    with pytest.raises(DataError, match=rf"record 1\]: field '{field}' is empty"):
        list(adapter(tmp_path).conversations())


def test_missing_and_ambiguous_turn_files(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no file for TopiOCQA dev turns: expected topiocqa_dev\.json or .*retriever/\*/dev\.json"):
        adapter(tmp_path).files()
    write(tmp_path / "a" / "topiocqa_dev.json", raw({1: LIGHTHOUSE}))
    write(tmp_path / "b" / "topiocqa_valid.jsonl", raw({1: LIGHTHOUSE}))
    with pytest.raises(MissingFileError, match=r"2 candidates for TopiOCQA dev turns: a/topiocqa_dev\.json, b/topiocqa_valid\.jsonl"):
        adapter(tmp_path).files()


def test_card_agrees_with_the_adapter_and_the_bundled_set() -> None:
    card = load_config(DatasetCard, PACKAGE / "cards" / "topiocqa.yaml")
    assert (card.name, set(card.splits), card.bm25) == (TopiOCQA.name, set(TopiOCQA.splits.values()), {"k1": 0.9, "b": 0.4})
    mini = list(adapter(PACKAGE / "mini" / "topiocqa", "mini").conversations())
    assert (card.splits["mini"].conversations, card.splits["mini"].turns) == (len(mini), len(turns(mini)))


@pytest.mark.parametrize(("place", "split", "sizes"), [("topiocqa_dev.json", "dev", (120, 1466)), ("", "train", (400, 5080))])
def test_real_first_release(real_data: Path, place: str, split: str, sizes: tuple[int, int]) -> None:
    conversations = list(adapter(real_data / "topiocqa" / place, split).conversations())
    found = turns(conversations)
    assert (len(conversations), len(found)) == sizes
    assert Counter(turn.labels["answerable"] for turn in found)["no"] == {"dev": 107, "train": 374}[split]
    assert all((turn.topic is None) == (turn.labels["answerable"] == "no") for turn in found)


def test_real_hub_file_agrees_with_the_published_qrels(real_data: Path) -> None:
    root = real_data / "topiocqa"
    made = adapter(root / "hub", corpus=root / "corpus")
    found = turns(list(made.conversations()))
    assert (len({turn.conversation_id for turn in found}), len(found)) == (120, 1466)
    assert sum(turn.labels["answerable"] == "no" for turn in found) == 107
    published = {turn_id.replace("-", "_"): grades for turn_id, grades in read_qrels(root / "gold" / "dev_gold.trec").items()}
    assert made.qrels() == published
    corpus = {passage.id: passage for passage in made.collection().passages()}
    union = {passage.id: passage for passage in adapter(root / "hub").collection().passages()}
    assert len(corpus) == 1142
    assert union == corpus


def real_dpr(real_data: Path) -> list[dict[str, Any]]:
    """A DPR-format file in the later numbering, made from the hub file."""
    records = []
    for line in (real_data / "topiocqa" / "hub" / "topiocqa_valid.jsonl").read_text().splitlines():
        turn = json.loads(line)
        passage = {"passage_id": turn["Gold_passage"]["id"], "title": turn["Gold_passage"]["title"], "text": turn["Gold_passage"]["text"]}
        question = turn["Question"].lower().replace("?", "").replace("’", "'")
        keys = {"conv_id": turn["Conversation_no"], "turn_id": turn["Turn_no"]}
        records.append({"question": question, "answers": [turn["Answer"]], "positive_ctxs": [passage], **keys})
    return records


def test_real_renumbering_is_caught(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "topiocqa_dev.json").write_bytes((real_data / "topiocqa" / "topiocqa_dev.json").read_bytes())
    write(tmp_path / "retriever" / "original" / "dev.json", real_dpr(real_data))
    with pytest.raises(DataError, match="conversations were renumbered after TopiOCQA's first release"):
        adapter(tmp_path).qrels()


def test_real_dpr_file_joins_within_its_release_and_stands_alone(real_data: Path, tmp_path: Path) -> None:
    hub = real_data / "topiocqa" / "hub"
    bare = [json.loads(line) for line in (hub / "topiocqa_valid.jsonl").read_text().splitlines()]
    for record in bare:
        del record["Gold_passage"]
    dpr_path = write(tmp_path / "retriever" / "original" / "dev.json", real_dpr(real_data))
    write(tmp_path / "topiocqa_valid.jsonl", bare)
    assert adapter(tmp_path).qrels() == adapter(hub).qrels() == adapter(dpr_path).qrels()
