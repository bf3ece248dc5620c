from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from convbench.datasets.adapters import load_card
from convbench.datasets.base import DatasetAdapter, DatasetSource
from convbench.datasets.faithdial import FaithDial
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.types import Exchange, Reference, Turn

TEA = "Tea is made from the leaves of Camellia sinensis."
COLOUR = "Green and black tea differ in how far the leaves are oxidised."


def wizard(history: list[str], response: str, knowledge: str | None = TEA, **more: object) -> dict:
    record = {"history": history, "speaker": "Wizard", "knowledge": knowledge, "response": response}
    return {**record, "original_response": "I grow it!", "BEGIN": ["Hallucination"], "VRM": ["Edification"], **more}


def dialogue() -> list[dict]:
    return [
        {"history": [], "speaker": "Apprentice", "response": "What is tea?"},
        wizard(["What is tea?"], "Leaves of one plant.", VRM=["Disclosure", "Edification"], BEGIN=["Hallucination", "Entailment"]),
        wizard(["What is tea?", "Leaves of  one plant.", "All kinds?"], "Yes, all.", original_response=None, VRM=["Ack."]),
        wizard(["What is tea?", "Leaves of one plant.", "All kinds?", "Yes, all.", "And colours?"], "Oxidation.", COLOUR),
    ]


def opened_by_wizard() -> list[dict]:
    opening = "Hello, I like tea."
    return [wizard([opening, "Why?"], "It is leaves."), wizard([opening, "Why?", "It is leaves.", "Of what?"], "Camellia.", COLOUR)]


def write(folder: Path, document: object, name: str = "test.json") -> Path:
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def raw(*dialogues: list[dict]) -> list[dict]:
    return [{"utterances": utterances} for utterances in dialogues]


def flat(*dialogues: list[dict]) -> list[dict]:
    rows = []
    for index, utterances in enumerate(dialogues):
        for utterance in utterances:
            if utterance["speaker"] == "Wizard":
                rows.append({"dialog_idx": index, **{key: value for key, value in utterance.items() if key != "speaker"}})
    return rows


def adapter(root: Path, split: str = "test") -> FaithDial:
    return FaithDial(DatasetSource(root, split))


def turns(root: Path, split: str = "test") -> list[Turn]:
    return [turn for conversation in adapter(root, split).conversations() for turn in conversation.turns]


def test_wizard_utterances_are_the_turns(tmp_path):
    found = turns(write(tmp_path, raw(dialogue(), opened_by_wizard())))
    assert isinstance(adapter(tmp_path), DatasetAdapter)
    assert [turn.id for turn in found] == ["0_1", "0_2", "0_3", "1_1", "1_2"]
    third = found[2]
    assert third.query == "And colours?"
    assert third.history == (Exchange("0_1", "What is tea?", "Leaves of one plant."), Exchange("0_2", "All kinds?", "Yes, all."))
    assert third.references == (Reference("Oxidation."), Reference(COLOUR, "knowledge"))
    assert (third.rewrite, third.topic) == (None, None)


def test_equal_knowledge_is_one_passage_named_after_its_first_row(tmp_path):
    found = turns(write(tmp_path, raw(dialogue(), opened_by_wizard())))
    assert [dict(turn.gold) for turn in found] == [{"doc:0": 1}, {"doc:0": 1}, {"doc:2": 1}, {"doc:0": 1}, {"doc:2": 1}]
    collection = adapter(tmp_path).collection()
    assert (collection.origin, collection.files) == ("corpus", (tmp_path / "test.json",))
    assert [(p.id, p.text, p.title) for p in collection.passages()] == [("doc:0", TEA, ""), ("doc:2", COLOUR, "")]
    assert adapter(tmp_path).qrels()["1_2"] == {"doc:2": 1}


def test_labels_describe_the_original_response(tmp_path):
    first, second, _ = turns(write(tmp_path, raw(dialogue())))
    assert first.labels == {"begin": "Hallucination|Entailment", "vrm": "Disclosure|Edification", "response_changed": "yes"}
    assert second.labels["response_changed"] == "no"
    assert [adapter(tmp_path).retrieval_turn(turn) for turn in (first, second)] == [True, False]


def test_original_response_that_is_empty_or_the_same_was_kept(tmp_path):
    utterances = [wizard(["a"], "b", original_response=""), wizard(["a", "b", "c"], "d", original_response="d")]
    assert [turn.labels["response_changed"] for turn in turns(write(tmp_path, raw(utterances)))] == ["no", "no"]


def test_dialogue_opened_by_the_wizard(tmp_path):
    first, second = turns(write(tmp_path, raw(opened_by_wizard())))
    opening = Exchange("0_0", "", "Hello, I like tea.")
    assert (first.query, first.history) == ("Why?", (opening,))
    assert (second.query, second.history) == ("Of what?", (opening, Exchange("0_1", "Why?", "It is leaves.")))


def test_an_opening_that_is_itself_a_turn_has_its_own_id(tmp_path):
    utterances = [wizard([], "Hello."), wizard(["Hello.", "What is tea?"], "Leaves.")]
    first, second = turns(write(tmp_path, raw(utterances)))
    assert (first.query, first.history) == ("", ())
    assert (second.id, second.query, second.history) == ("0_2", "What is tea?", (Exchange("0_1", "", "Hello."),))


def test_optional_fields_may_be_absent_or_null_in_own_data(tmp_path):
    bare = {"speaker": "Wizard", "history": ["Hi"], "knowledge": TEA, "response": "Tea?"}
    nulls = {**bare, "history": ["Hi", "Tea?", "Yes"], "BEGIN": None, "VRM": None, "original_response": None, "knowledge": None}
    first, second = turns(write(tmp_path, raw([bare, nulls])))
    assert first.labels == {}
    assert second.labels == {"response_changed": "no"}
    assert (second.references, second.gold) == ((Reference("Tea?"),), {})
    assert not adapter(tmp_path).retrieval_turn(first)


@pytest.mark.parametrize("layout", ["list", "lines", "gzip"])
def test_flat_rows_give_the_same_turns_as_the_dialogues(tmp_path, layout):
    dialogues = dialogue(), opened_by_wizard()
    (tmp_path / "raw").mkdir()
    expected = turns(write(tmp_path / "raw", raw(*dialogues)))
    rows = flat(*dialogues)
    folder = tmp_path / "flat"
    folder.mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if layout == "list":
        write(folder, rows)
    elif layout == "lines":
        (folder / "test.jsonl").write_text(lines, encoding="utf-8")
    else:
        (folder / "test.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert turns(folder) == expected


def test_flat_dialogues_must_stand_together(tmp_path):
    rows = flat(dialogue(), opened_by_wizard())
    with pytest.raises(DataError, match=r"record 4\]: conversation '0' goes on here after others"):
        turns(write(tmp_path, [rows[0], rows[1], rows[3], rows[4], rows[2]]))


@pytest.mark.parametrize("alias", ["validation", "valid", "dev"])
@pytest.mark.parametrize("name", ["valid.json", "validation.json"])
def test_validation_goes_by_several_names(tmp_path, alias, name):
    write(tmp_path, raw(dialogue()), name)
    write(tmp_path, raw(opened_by_wizard()), "valid_random_split.json")
    assert len(turns(tmp_path, FaithDial.splits[alias])) == 3
    assert len(turns(tmp_path, "valid_random_split")) == 2


def test_every_official_split_is_known():
    official = {"train", "validation", "test", "valid_random_split", "valid_topic_split", "test_random_split", "test_topic_split"}
    assert set(FaithDial.splits.values()) == {*official, "mini"}
    assert set(load_card("faithdial").splits) == set(FaithDial.splits.values())


BROKEN = {
    "unknown speaker": ([{"speaker": "0_Wizard"}], r"record 0.utterances\[0\]\]: field 'speaker': expected Wizard, .* found '0_Wizard'"),
    "no history": ([{"speaker": "Wizard", "response": "x"}], "field 'history' is missing"),
    "history item": ([wizard([7], "x")], r"field 'history'\[0\]: expected a string, found int 7"),
    "null response": ([{**wizard(["a"], "x"), "response": None}], "field 'response': expected a string, found null"),
    "begin as text": ([wizard(["a"], "x", BEGIN="Entailment")], "field 'BEGIN': expected a list"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_malformed_records_are_named(tmp_path, case):
    utterances, message = BROKEN[case]
    with pytest.raises(DataError, match=message) as caught:
        turns(write(tmp_path, raw(utterances)))
    assert str(caught.value).startswith(f"{tmp_path / 'test.json'} [record 0")


def test_rows_of_another_format(tmp_path):
    with pytest.raises(DataError, match="expected a dialogue with the field 'utterances' or a flat row with the field 'dialog_idx'"):
        turns(write(tmp_path, [{"Question": "x"}]))
    (tmp_path / "test.json").write_text('[{"utterances": [', encoding="utf-8")
    with pytest.raises(DataError, match="the JSON ends early"):
        turns(tmp_path)


def test_there_is_no_corpus_to_name(tmp_path):
    source = DatasetSource(write(tmp_path, raw(dialogue())), "test", corpus=tmp_path / "corpus.tsv")
    with pytest.raises(UsageError, match="leave --corpus out"):
        FaithDial(source).collection()


def test_missing_split_says_what_is_expected(tmp_path):
    with pytest.raises(MissingFileError, match=r"no file for FaithDial validation dialogues: expected valid.json or validation.json"):
        turns(write(tmp_path, raw(dialogue())), "validation")


def test_bundled_mini_set_is_what_the_card_says():
    dataset, card = open_dataset(DatasetRequest("faithdial")), load_card("faithdial")
    assert (len(dataset.conversations), len(dataset.turns)) == (card.splits["mini"].conversations, card.splits["mini"].turns)
    texts = [p.text for p in dataset.adapter.collection().passages()]
    assert len(texts) == len(set(texts)) < len(dataset.turns)
    assert 0 < len(dataset.retrieval_turns().ids) < len(dataset.turns)
    assert any(turn.history[0].query == "" for turn in dataset.turns if turn.history), "some dialogue is opened by the Wizard"


def test_a_history_that_is_not_made_of_the_earlier_responses_is_taken_as_written_and_labelled(tmp_path):
    utterances = [wizard(["a"], "x"), wizard(["a", "original x", "b"], "y")]
    write(tmp_path, raw(utterances), "test.json")
    first, second = turns(tmp_path, "test")
    assert "history_differs" not in first.labels
    assert second.labels["history_differs"] == "yes"
    assert [(exchange.turn_id, exchange.response) for exchange in second.history] == [("0_0", "original x")]
