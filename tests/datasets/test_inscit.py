from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from convbench.datasets.adapters import load_card
from convbench.datasets.base import DatasetAdapter, DatasetSource
from convbench.datasets.inscit import INSCIT
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import DataError, MissingFileError
from convbench.types import Exchange, Reference, Turn


def passage(name: str, text: str = "", titles: tuple[str, ...] = ("Bees",)) -> dict:
    return {"passage_id": name, "passage_text": text or f"Text of {name}.", "passage_titles": list(titles)}


def label(kind: str, response: str, *evidence: dict) -> dict:
    return {"responseType": kind, "response": response, "evidence": list(evidence)}


def example() -> dict:
    dance = passage("Waggle dance: a primer:3", titles=("Waggle dance: a primer", "Meaning"))
    return {
        "bees_dial1": {
            "seedArticle": {"title": "Bees", "topic": "animals", "level": 1},
            "turns": [
                {
                    "context": ["How do bees talk?"],
                    "prevEvidence": [],
                    "labels": [
                        label("directAnswer", "They dance.", dance, passage("Bees:0")),
                        label("clarification", "Honey bees or bumblebees?", passage("Bees:7"), passage("Bees:0")),
                    ],
                },
                {
                    "context": ["How do bees talk?", "Honey  bees or bumblebees?", "Honey bees."],
                    "prevEvidence": [[passage("Bees:7"), passage("Bees:0")]],
                    "labels": [label("noAnswerNoRelevantInfo", "Sorry, I found nothing.")],
                },
            ],
        }
    }


def write(folder: Path, document: object, name: str = "dev.json") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def adapter(root: Path, split: str = "dev", corpus: Path | None = None) -> INSCIT:
    return INSCIT(DatasetSource(root, split, corpus))


def turns(root: Path, split: str = "dev") -> list[Turn]:
    return [turn for conversation in adapter(root, split).conversations() for turn in conversation.turns]


def test_turns_hold_history_references_gold_and_labels(tmp_path):
    first, second = turns(write(tmp_path, example()))
    assert isinstance(adapter(tmp_path), DatasetAdapter)
    assert (first.id, first.query, first.history, first.topic) == ("bees_dial1_1", "How do bees talk?", (), "Bees")
    evidence = ("Waggle dance: a primer:3", "Bees:0")
    other = Reference("Honey bees or bumblebees?", "additional", ("Bees:7", "Bees:0"))
    assert first.references == (Reference("They dance.", evidence=evidence), other)
    assert list(first.gold) == ["Waggle dance: a primer:3", "Bees:0", "Bees:7"]
    assert first.labels == {"response_type": "directAnswer|clarification", "answerable": "yes"}
    assert second.query == "Honey bees."
    assert second.history == (Exchange("bees_dial1_1", "How do bees talk?", "Honey  bees or bumblebees?"),)
    assert second.labels == {"response_type": "noAnswerNoRelevantInfo", "answerable": "no"}
    assert adapter(tmp_path).qrels() == {"bees_dial1_1": {"Waggle dance: a primer:3": 1, "Bees:0": 1, "Bees:7": 1}}
    assert [adapter(tmp_path).retrieval_turn(turn) for turn in (first, second)] == [True, False]


def test_one_unanswered_label_of_two_is_answerable_and_equal_types_are_not_repeated(tmp_path):
    document = example()
    document["bees_dial1"]["turns"][1]["labels"] = [
        label("noAnswerButRelevantInfo", "Not really.", passage("Bees:1")),
        label("noAnswerButRelevantInfo", "No.", passage("Bees:1")),
    ]
    assert turns(write(tmp_path, document))[1].labels == {"response_type": "noAnswerButRelevantInfo", "answerable": "no"}
    document["bees_dial1"]["turns"][1]["labels"].append(label("directAnswer", "Yes.", passage("Bees:1")))
    assert turns(write(tmp_path, document))[1].labels["answerable"] == "yes"


def test_without_a_corpus_the_collection_is_the_evidence_in_first_seen_order(tmp_path):
    document = example()
    document["bees_dial1"]["turns"][1]["prevEvidence"][0].append(passage("Only earlier:2", "Seen  earlier.", ("A", "B")))
    collection = adapter(write(tmp_path, document)).collection()
    assert (collection.origin, collection.files) == ("gold-union", (tmp_path / "dev.json",))
    found = list(collection.passages())
    assert [p.id for p in found] == ["Waggle dance: a primer:3", "Bees:0", "Bees:7", "Only earlier:2"]
    assert found[0].title == "Waggle dance: a primer [SEP] Meaning"
    assert list(collection.passages()) == found, "every call starts a fresh stream"


def test_one_passage_id_with_two_texts_is_an_error(tmp_path):
    document = example()
    document["bees_dial1"]["turns"][1]["prevEvidence"][0][1] = passage("Bees:0", "Another text.")
    with pytest.raises(DataError, match=r"turns\[1\].prevEvidence\[0\].evidence\[1\].*'Bees:0' has two texts"):
        list(adapter(write(tmp_path, document)).collection().passages())


def test_corpus_tsv_comes_before_the_json_lists(tmp_path):
    lists = [{"title": "Bees", "passages": [{"id": "Bees:0", "text": "Out  line\n of it.", "titles": ["Bees", "Outline"]}]}]
    write(write(tmp_path, example()), lists, "text_0420_processed/part 1")
    collection = adapter(tmp_path).collection()
    assert (collection.origin, [path.name for path in collection.files]) == ("corpus", ["part 1"])
    (found,) = collection.passages()
    assert (found.id, found.text, found.title) == ("Bees:0", "Out line of it.", "Bees [SEP] Outline")

    (tmp_path / "full_wiki_segments.tsv").write_text("id\ttext\ttitle\nBees:0\ttext\tBees\nid\ttext\ttitle\n", encoding="utf-8")
    assert [p.text for p in adapter(tmp_path).collection().passages()] == ["text"]


def test_corpus_may_lie_elsewhere_as_file_or_folder(tmp_path):
    data, lists = write(tmp_path / "data", example()), tmp_path / "elsewhere" / "text_0420_processed"
    write(lists, [{"title": "T", "passages": [{"id": "T:1", "text": "x", "titles": ["T"]}]}], "wiki_00")
    for corpus in (lists, lists.parent, lists / "wiki_00"):
        assert [p.id for p in adapter(data, corpus=corpus).collection().passages()] == ["T:1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match=r"no file for INSCIT corpus.*set --corpus"):
        adapter(data, corpus=tmp_path / "empty").collection()


def test_a_file_of_the_same_name_from_another_dataset_is_told_apart(tmp_path):
    write(write(tmp_path, example(), "inscit/dev.json"), [{"History": []}], "canard/dev.json")
    assert adapter(tmp_path).files() == (tmp_path / "inscit" / "dev.json",)
    write(tmp_path, example(), "copy/dev.json")
    with pytest.raises(MissingFileError, match=r"3 candidates for INSCIT dev turns: canard/dev.json, copy/dev.json, inscit/dev.json"):
        adapter(tmp_path).files()


def test_a_file_can_be_given_itself(tmp_path):
    path = write(tmp_path, example(), "my_copy.json") / "my_copy.json"
    assert len(turns(path)) == 2
    assert adapter(path).collection().origin == "gold-union"


def change(path: list, value: object):
    def apply(document: dict) -> dict:
        target = document["bees_dial1"]
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value
        return document

    return apply


BROKEN = {
    "even context": (change(["turns", 1, "context"], ["a", "b"]), r"turns\[1\]\]: field 'context' has 2 items, expected 3 for turn 2"),
    "short evidence": (change(["turns", 1, "prevEvidence"], []), "field 'prevEvidence' has 0 lists, expected 1"),
    "foreign response": (
        change(["turns", 1, "context", 1], "They sing."),
        r"field 'context'\[1\]: 'They sing.' is no label response of turn 1",
    ),
    "no labels": (change(["turns", 0, "labels"], []), "field 'labels' is empty"),
    "null response": (
        change(["turns", 0, "labels", 0, "response"], None),
        r"\[0\]\]: field 'response': expected a string, found null",
    ),
    "no titles": (change(["turns", 0, "labels", 0, "evidence", 0, "passage_titles"], "Bees"), "'passage_titles': expected a list"),
    "no seed": (lambda d: {"bees_dial1": {"turns": d["bees_dial1"]["turns"]}}, r"\[bees_dial1\]: field 'seedArticle' is missing"),
    "blank in name": (lambda d: {"bees dial1": d["bees_dial1"]}, "conversation name 'bees dial1': expected a name without white space"),
    "a list": (lambda d: [d], "expected a JSON object keyed by conversation name, found list"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_malformed_records_are_named(tmp_path, case):
    damage, message = BROKEN[case]
    with pytest.raises(DataError, match=message) as caught:
        turns(write(tmp_path, damage(copy.deepcopy(example()))))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "dev.json") in str(caught.value)


def test_missing_split_says_what_is_expected(tmp_path):
    with pytest.raises(MissingFileError, match=r"no file for INSCIT test turns: expected test\.json"):
        turns(write(tmp_path, example()), "test")


def test_bundled_mini_set_is_what_the_card_says():
    dataset, card = open_dataset(DatasetRequest("inscit")), load_card("inscit")
    assert (len(dataset.conversations), len(dataset.turns)) == (card.splits["mini"].conversations, card.splits["mini"].turns)
    corpus = {p.id for p in dataset.adapter.collection().passages()}
    assert all(id_ in corpus for turn in dataset.turns for id_ in turn.gold)
    assert card.bm25 == {"k1": 0.9, "b": 0.4}


def test_real_sample(real_data):
    root = real_data / "inscit"
    found = turns(root)
    assert len(list(adapter(root).conversations())) == 36
    assert len(found) == 211
    assert sum(len(turn.references) for turn in found) == 347
    assert sum(not turn.gold for turn in found) == 8
    assert len(adapter(root).qrels()) == 203
    corpus = adapter(root).collection()
    assert (corpus.origin, [path.name for path in corpus.files]) == ("corpus", ["full_wiki_segments.sample.tsv"])
    passages = {p.id: p for p in corpus.passages()}
    assert len(passages) == 394
    assert all(id_ in passages for turn in found for id_ in turn.gold)


def test_real_evidence_is_the_sample_corpus(real_data):
    union = adapter(real_data / "inscit" / "dev.json").collection()
    assert union.origin == "gold-union"
    corpus = {p.id: p.text for p in adapter(real_data / "inscit").collection().passages()}
    assert {p.id: " ".join(p.text.split()) for p in union.passages()} == corpus


def test_real_dev_is_found_among_other_datasets(real_data):
    assert adapter(real_data).files() == (real_data / "inscit" / "dev.json",)
