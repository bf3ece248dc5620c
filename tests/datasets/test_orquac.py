from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from convbench.datasets.adapters import load_card
from convbench.datasets.base import DatasetAdapter, DatasetSource
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.orquac import ORQuAC
from convbench.errors import DataError, MissingFileError
from convbench.types import Exchange, Reference, Turn

DIALOG = "C_ab12_0"
BLOCKS = [
    {"id": "77@0", "title": "Owls", "text": "Owls hunt at night.", "aid": "77", "bid": 0},
    {"id": "77@1", "title": "Owls", "text": "Owls swallow mice  whole.", "aid": "77", "bid": 1},
    {"id": "90@0", "title": "Larks", "text": "Larks sing at dawn.", "aid": "90", "bid": 0},
]


def line(number: int, question: str, answer: str, history: list[dict], labels: list[int], **more: object) -> dict:
    evidences = ["Larks sing at dawn.", "Owls hunt at night.", "Owls swallow mice whole."]
    record = {"qid": f"{DIALOG}_q#{number}", "question": question, "rewrite": question.replace("they", "owls"), "history": history}
    return {**record, "answer": {"text": answer, "bid": 0}, "evidences": evidences, "retrieval_labels": labels, **more}


def past(question: str, answer: str) -> dict:
    return {"question": question, "answer": {"text": answer}}


def preprocessed() -> list[dict]:
    first = past("When do owls hunt?", "at night")
    return [
        line(0, "When do owls hunt?", "at night", [], [0, 1, 0], followup="y", yesno="x"),
        line(1, "Do they chew?", "whole", [first], [0, 0, 1], followup="m", yesno="n"),
        line(2, "Can they sing?", "CANNOTANSWER", [first, past("Do they chew?", "whole")], [0, 0, 1]),
    ]


def quac(*questions: dict, dialog: str = DIALOG) -> dict:
    return {"data": [{"title": "Owls", "paragraphs": [{"id": dialog, "context": "Owls hunt at night.", "qas": list(questions)}]}]}


def question(number: int, text: str, *answers: str, dialog: str = DIALOG) -> dict:
    return {
        "id": f"{dialog}_q#{number}",
        "question": text,
        "answers": [{"text": answer} for answer in answers],
        "orig_answer": {"text": answers[-1]},
        "followup": "n",
        "yesno": "y",
    }


def canard(number: int, text: str, *said: str, dialog: str = DIALOG) -> dict:
    return {
        "History": ["Owls", "Hunting", *said],
        "QuAC_dialog_id": dialog,
        "Question": text,
        "Question_no": number,
        "Rewrite": f"{text} (owls)",
    }


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lines(records: list[dict]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def official(tmp_path):
    """A folder in the official layout."""
    write(tmp_path / "preprocessed" / "dev.txt", lines(preprocessed()))
    write(tmp_path / "all_blocks.txt", lines(BLOCKS))
    write(tmp_path / "qrels.txt", {f"{DIALOG}_q#0": {"77@0": 1}, f"{DIALOG}_q#1": {"77@1": 1, "90@0": 0}, f"{DIALOG}_q#2": {"77@1": 1}})
    return tmp_path


def adapter(root: Path, split: str = "dev", corpus: Path | None = None) -> ORQuAC:
    return ORQuAC(DatasetSource(root, split, corpus))


def turns(root: Path, split: str = "dev", corpus: Path | None = None) -> list[Turn]:
    return [turn for conversation in adapter(root, split, corpus).conversations() for turn in conversation.turns]


def test_preprocessed_turns(official):
    first, second, third = turns(official)
    assert isinstance(adapter(official), DatasetAdapter)
    assert [turn.id for turn in (first, second, third)] == [f"{DIALOG}_1", f"{DIALOG}_2", f"{DIALOG}_3"]
    assert first.labels == {"answerable": "yes", "followup": "y", "yesno": "x", "first_question_rewritten": "yes"}
    assert (second.query, second.rewrite, second.gold) == ("Do they chew?", "Do owls chew?", {"77@1": 1})
    assert second.history == (Exchange(f"{DIALOG}_1", "When do owls hunt?", "at night", "When do owls hunt?"),)
    assert second.references == (Reference("whole"),)
    assert third.history[1] == Exchange(f"{DIALOG}_2", "Do they chew?", "whole", "Do owls chew?")
    assert third.labels == {"answerable": "no"}
    assert adapter(official).retrieval_turn(third), "CANNOTANSWER turns have a gold passage"


def test_answer_that_was_not_recovered_is_unanswerable(official):
    records = preprocessed()
    records[2]["answer"]["text"] = "NOTRECOVERED"
    write(official / "preprocessed" / "dev.txt", lines(records))
    assert turns(official)[2].labels["answerable"] == "no"


def test_a_first_question_that_is_not_its_rewrite_is_not_labelled(official):
    records = preprocessed()
    records[0]["rewrite"] = "When do owls go hunting?"
    write(official / "preprocessed" / "dev.txt", lines(records))
    assert "first_question_rewritten" not in turns(official)[0].labels


def test_human_answers_of_the_quac_format_are_added_and_its_questions_are_not(official):
    answers = quac(question(0, "When do these hunt?", "at night", "by night", "at night"), question(1, "Do they chew?", "no", "whole"))
    write(official / "quac_format" / "dev.txt", answers)
    first, second, third = turns(official)
    assert first.query == "When do owls hunt?"
    assert first.references == (Reference("at night"), Reference("by night", "additional"), Reference("at night", "additional"))
    assert second.references == (Reference("whole"), Reference("no", "additional"))
    assert (second.topic, third.topic) == ("Owls", None)
    assert [path.name for path in adapter(official).files()] == ["dev.txt", "dev.txt", "qrels.txt"]


def test_blocks_with_extra_keys_are_the_collection(official):
    collection = adapter(official).collection()
    assert (collection.origin, [path.name for path in collection.files]) == ("corpus", ["all_blocks.txt"])
    assert [(p.id, p.title) for p in collection.passages()] == [("77@0", "Owls"), ("77@1", "Owls"), ("90@0", "Larks")]


def test_gzipped_and_renamed_files(official, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("corpus") / "my_blocks.jsonl.gz"
    elsewhere.write_bytes(gzip.compress(lines(BLOCKS[:1]).encode()))
    (official / "qrels.txt.gz").write_bytes(gzip.compress((official / "qrels.txt").read_bytes()))
    (official / "qrels.txt").unlink()
    assert turns(official)[1].gold == {"77@1": 1}
    assert [p.id for p in adapter(official, corpus=elsewhere).collection().passages()] == ["77@0"]
    assert [p.id for p in adapter(official, corpus=elsewhere.parent).collection().passages()] == ["77@0"]


def test_without_qrels_gold_is_the_block_with_the_evidence_text(official):
    with_qrels = adapter(official).qrels()
    (official / "qrels.txt").unlink()
    assert adapter(official).qrels() == with_qrels
    write(official / "all_blocks.txt", lines(BLOCKS[:1]))
    with pytest.raises(DataError, match=r"dev.txt:2: the evidence labelled 1 is no block of .*all_blocks.txt: give the whole"):
        adapter(official).qrels()


def test_labels_that_are_all_0_leave_the_gold_unknown(official):
    (official / "qrels.txt").unlink()
    records = preprocessed()
    records[1]["retrieval_labels"] = [0, 0, 0]
    write(official / "preprocessed" / "dev.txt", lines(records))
    assert [bool(turn.gold) for turn in turns(official)] == [True, False, True]


def test_gold_union_has_the_ids_of_the_qrels(official):
    (official / "all_blocks.txt").unlink()
    collection = adapter(official).collection()
    assert (collection.origin, list(collection.files)) == ("gold-union", list(adapter(official).files()))
    assert [(p.id, p.text) for p in collection.passages()] == [("77@0", "Owls hunt at night."), ("77@1", "Owls swallow mice whole.")]


def test_gold_union_without_qrels_numbers_the_texts(official):
    (official / "all_blocks.txt").unlink()
    (official / "qrels.txt").unlink()
    assert [p.id for p in adapter(official).collection().passages()] == ["evidence@0", "evidence@1"]
    assert [dict(turn.gold) for turn in turns(official)] == [{"evidence@0": 1}, {"evidence@1": 1}, {"evidence@1": 1}]


def test_a_gold_passage_without_text_is_no_gold_union(official):
    (official / "all_blocks.txt").unlink()
    write(official / "qrels.txt", {f"{DIALOG}_q#0": {"77@0": 1, "90@0": 1}, f"{DIALOG}_q#1": {"77@1": 1}})
    with pytest.raises(MissingFileError, match=r"only 1 of the 3 gold passages have a text in dev\.txt; set --corpus"):
        adapter(official).collection()


def test_one_gold_id_with_two_texts_is_an_error(official):
    (official / "all_blocks.txt").unlink()
    write(official / "qrels.txt", {f"{DIALOG}_q#{n}": {"77@0": 1} for n in range(3)})
    with pytest.raises(DataError, match=r"dev.txt:2: passage '77@0' has two texts"):
        adapter(official).collection()


def test_qrels_of_another_split_are_an_error(official):
    write(official / "qrels.txt", {"C_other_0_q#0": {"77@0": 1}})
    with pytest.raises(DataError, match=r"qrels.txt: judges no question of dev.txt"):
        turns(official)


def test_quac_format_alone(tmp_path):
    write(tmp_path / "quac_format" / "dev.txt", quac(question(0, "When?", "night", "at night"), question(1, "Why?", "CANNOTANSWER")))
    first, second = turns(tmp_path)
    assert first.references == (Reference("at night"), Reference("night", "additional"))
    assert (first.rewrite, first.gold, first.topic) == (None, {}, "Owls")
    assert second.history == (Exchange(f"{DIALOG}_1", "When?", "at night"),)
    assert second.labels == {"answerable": "no", "followup": "n", "yesno": "y"}
    with pytest.raises(MissingFileError, match=r"no gold passages are named in dev\.txt"):
        adapter(tmp_path).collection()


def test_canard_alone(tmp_path):
    document = [
        canard(1, "When do they hunt?"),
        canard(2, "Do they sing?", "When do they hunt?", "at night"),
        canard(3, "Do they swim?", "When do they hunt?", "at night", "Do they sing?", "I don't know."),
    ]
    write(tmp_path / "dev.json", document)
    first, second, third = turns(tmp_path)
    assert (first.query, first.rewrite, first.topic, first.history) == ("When do they hunt?", "When do they hunt? (owls)", "Owls", ())
    assert (first.references, first.labels) == ((Reference("at night"),), {"answerable": "yes"})
    assert second.labels == {"answerable": "no"}
    assert third.history[0] == Exchange(f"{DIALOG}_1", "When do they hunt?", "at night", "When do they hunt? (owls)")
    assert (third.references, third.labels) == ((), {})


def test_preprocessed_files_come_first(official):
    write(official / "dev.json", [canard(1, "When do they hunt?")])
    write(official / "inscit" / "dev.json", {"a_dial": {"turns": []}})
    assert len(turns(official)) == 3


def test_train_sample_pattern_is_for_train_only(tmp_path):
    write(tmp_path / "some.orquac_schema.jsonl", lines(preprocessed()))
    assert len(turns(tmp_path, "train")) == 3
    with pytest.raises(MissingFileError, match=r"no file for OR-QuAC dev dialogues: expected preprocessed/dev.txt or .*dev.json"):
        turns(tmp_path)


def test_two_candidates_are_listed(official):
    write(official / "old" / "dev.txt", lines(preprocessed()))
    with pytest.raises(MissingFileError, match=r"2 candidates for OR-QuAC dev dialogues: old/dev.txt, preprocessed/dev.txt"):
        turns(official)


def test_aliases_and_default():
    assert ORQuAC.splits["validation"] == "dev"
    assert ORQuAC.splits[ORQuAC.default_split] == "test"


def changed(number: int, **fields: object) -> str:
    records = preprocessed()
    records[number].update(fields)
    return lines(records)


BROKEN_LINES = {
    "qid": (changed(1, qid="C_ab12_0_2"), r"dev.txt:2: question id 'C_ab12_0_2': expected <dialog>_q#<number>"),
    "blank in qid": (changed(0, qid="C 1_q#0"), r"dev.txt:1: question id 'C 1_q#0': expected .* without white space"),
    "gap": (lines(preprocessed()[:1] + preprocessed()[2:]), rf"dev.txt:2: conversation '{DIALOG}': found turn 3, expected turn 2"),
    "short history": (changed(2, history=[]), r"dev.txt:3: field 'history' has 0 items, expected 2 for question C_ab12_0_q#2"),
    "no answer": (changed(0, answer="at night"), "dev.txt:1: field 'answer': expected an object, found str"),
    "no rewrite": (changed(0, rewrite=None), "dev.txt:1: field 'rewrite': expected a string, found null"),
    "cut line": (lines(preprocessed())[:-30], "dev.txt:3: not valid JSON"),
    "other format": ('{"url": "x"}', "dev.txt: expected JSON lines with 'qid', an object with 'data'"),
    "empty": ("", "dev.txt: expected JSON lines with 'qid'"),
}


@pytest.mark.parametrize("case", BROKEN_LINES)
def test_malformed_lines_are_named(official, case):
    content, message = BROKEN_LINES[case]
    write(official / "preprocessed" / "dev.txt", content)
    with pytest.raises(DataError, match=message) as caught:
        turns(official)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"retrieval_labels": [1]}, "field 'retrieval_labels' has 1 items, expected 3"),
        ({"retrieval_labels": [0, 2, 0]}, "field 'retrieval_labels': expected 0 or 1, found 2"),
        ({"evidences": None}, "field 'evidences': expected a list, found null"),
    ],
)
def test_malformed_evidences_are_named_where_they_are_needed(official, fields, message):
    write(official / "preprocessed" / "dev.txt", changed(1, **fields))
    assert len(turns(official)) == 3, "qrels.txt makes evidences unnecessary"
    (official / "qrels.txt").unlink()
    with pytest.raises(DataError, match=f"dev.txt:2: {message}"):
        turns(official)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1], "expected a JSON object of question ids, found list"),
        ({"q1": {"77@0": 1}}, r"\[q1\]: question id 'q1': expected"),
        ({f"{DIALOG}_q#0": ["77@0"]}, r"\[C_ab12_0_q#0\]: expected an object, found list"),
        ({f"{DIALOG}_q#0": {"77@0": "1"}}, "field '77@0': expected an integer"),
    ],
)
def test_malformed_qrels_are_named(official, document, message):
    write(official / "qrels.txt", document)
    with pytest.raises(DataError, match=message):
        turns(official)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            quac(question(0, "When?", "x", dialog="C_other_1")),
            r"paragraphs\[0\].qas\[0\]\]: .*expected a question of dialog 'C_ab12_0'",
        ),
        (quac(question(1, "When?", "x")), "found turn 2, expected turn 1"),
        (quac({"id": f"{DIALOG}_q#0", "question": "When?", "answers": []}), "field 'answers' is empty"),
    ],
)
def test_malformed_quac_is_named(tmp_path, document, message):
    write(tmp_path / "quac_format" / "dev.txt", document)
    with pytest.raises(DataError, match=message):
        turns(tmp_path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([canard(1, "When?"), canard(2, "Why?")], r"record 1\]: field 'History' has 2 items, expected 4 for question 2"),
        ([canard(0, "When?")], "field 'Question_no': expected 1 or more, found 0"),
        ([canard(2, "Why?", "When?", "now")], "found turn 2, expected turn 1"),
        ([canard(1, "a"), canard(1, "b", dialog="C_x_0"), canard(1, "a")], f"conversation '{DIALOG}' goes on here after others"),
        ([canard(1, "a", dialog="C x")], "expected an id without white space, found 'C x'"),
    ],
)
def test_malformed_canard_is_named(tmp_path, document, message):
    write(tmp_path / "dev.json", document)
    with pytest.raises(DataError, match=message):
        turns(tmp_path)


def test_bundled_mini_set_is_what_the_card_says():
    dataset, card = open_dataset(DatasetRequest("orquac")), load_card("orquac")
    assert (len(dataset.conversations), len(dataset.turns)) == (card.splits["mini"].conversations, card.splits["mini"].turns)
    corpus = {p.id for p in dataset.adapter.collection().passages()}
    assert all(id_ in corpus for turn in dataset.turns for id_ in turn.gold)
    assert any(reference.kind == "additional" for turn in dataset.turns for reference in turn.references)


def test_real_derived_sample(real_data):
    root = real_data / "orquac"
    found = turns(root, "train")
    assert (len({turn.conversation_id for turn in found}), len(found)) == (7, 49)
    collection = adapter(root, "train").collection()
    blocks = {p.id for p in collection.passages()}
    assert (collection.origin, len(blocks)) == ("corpus", 11)
    assert all(turn.gold and set(turn.gold) <= blocks for turn in found)
    assert all(turn.labels["first_question_rewritten"] == "yes" for turn in found if turn.number == 1)
    assert sum(turn.labels["answerable"] == "no" for turn in found) == 8


def test_real_evidence_texts_lead_to_the_ids_of_the_qrels(real_data):
    derived = real_data / "orquac" / "derived"
    from_texts = adapter(derived / "train_sample.orquac_schema.jsonl", "train", derived / "blocks.sample.jsonl").qrels()
    assert from_texts == adapter(derived, "train").qrels()


def test_real_canard_sample(real_data):
    root = real_data / "orquac"
    conversations = list(adapter(root).conversations())
    found = [turn for conversation in conversations for turn in conversation.turns]
    assert (len(conversations), len(found)) == (200, 1421)
    assert sum(not turn.references for turn in found) == 200, "the last answer of a dialog is not in CANARD"
    assert all(turn.rewrite and len(turn.history) == turn.number - 1 for turn in found)
    for conversation in conversations:
        asked = {turn.id: (turn.query, turn.rewrite) for turn in conversation.turns}
        for exchange in conversation.turns[-1].history:
            assert (exchange.query, exchange.rewrite) == asked[exchange.turn_id]


def test_real_quac_sample(real_data):
    path = real_data / "orquac" / "quac_format" / "quac_sample.json"
    (conversation,) = adapter(path).conversations()
    assert (len(conversation.turns), conversation.turns[0].topic) == (6, "The break")
    assert [len(turn.references) for turn in conversation.turns] == [1, 5, 4, 4, 3, 5]


def test_real_canard_dev_is_found_among_other_datasets(real_data):
    assert adapter(real_data).files()[0] == real_data / "orquac" / "canard" / "dev.json"


def test_an_answer_that_nobody_gave_is_no_reference(official):
    """Where OR-QuAC could not find the span again, people's answers are what the official scorer knows."""
    answers = quac(question(0, "When do these hunt?", "yellow", "at night", "by night"))
    answers["data"][0]["paragraphs"][0]["qas"][0]["orig_answer"] = {"text": "NOTRECOVERED", "answer_start": 0}
    write(official / "quac_format" / "dev.txt", answers)
    first, *_ = turns(official)
    assert "NOTRECOVERED" not in {reference.text for reference in first.references}
