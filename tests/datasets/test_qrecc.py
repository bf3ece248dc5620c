from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from convbench.config import load_config
from convbench.datasets.base import DatasetAdapter, DatasetCard, DatasetSource
from convbench.datasets.qrecc import QReCC
from convbench.datasets.qrecc_qrels import read_passage_judgements
from convbench.errors import DataError, MissingFileError
from convbench.types import Exchange, Passage, Reference, Turn

PACKAGE = Path(__file__).parents[2] / "convbench" / "datasets"
URL = "https://example.org/glassblowing"
# question, rewrite, answer
GLASS = [
    ("How did he learn it", "How did Aldo Ferri learn glassblowing?", ""),
    ("Where was that", "Where was Aldo Ferri's school of glassblowing?", "In a village on the lake."),
    ("Why there?", "Why was the school in a village on the lake?", "The sand was good."),
]


def official(exchanges: list[tuple[str, str, str]] = GLASS, conversation: int = 442) -> list[dict[str, Any]]:
    records = []
    context: list[str] = []
    for n, (question, rewrite, answer) in enumerate(exchanges, 1):
        texts = {"Context": list(context), "Question": question, "Rewrite": rewrite, "Answer": answer, "Answer_URL": answer and URL}
        records.append({**texts, "Conversation_no": conversation, "Turn_no": n, "Conversation_source": "quac"})
        context += [text for text in (rewrite, answer) if text]
    return records


def scai(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    renamed = []
    for record in records:
        passages = [f"{URL}_p{record['Turn_no']}"] if record["Answer"] else []
        kept = {key: value for key, value in record.items() if key not in ("Rewrite", "Answer")}
        renamed.append({**kept, "Truth_rewrite": record["Rewrite"], "Truth_answer": record["Answer"], "Truth_passages": passages})
    return renamed


def sampled(*numbers: int, conversation: int = 9) -> list[dict[str, Any]]:
    records = []
    for n in numbers:
        record = scai(official(conversation=conversation))[n - 1]
        del record["Context"]
        queries = [GLASS[0][1], *(question for question, _, _ in GLASS[1:])]
        earlier = [text for query, (_, _, answer) in zip(queries, GLASS[: n - 1], strict=False) for text in (query, answer)]
        records.append({**record, "Question": queries[n - 1], "NewContext": earlier})
    return records


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def adapter(root: Path, split: str = "test", corpus: Path | None = None, **options: str) -> QReCC:
    return QReCC(DatasetSource(root, split, corpus, {key.replace("_", "-"): value for key, value in options.items()}))


def turns(made: QReCC) -> list[Turn]:
    return [turn for conversation in made.conversations() for turn in conversation.turns]


def test_is_an_adapter_whose_constructor_opens_nothing(tmp_path: Path) -> None:
    made = adapter(tmp_path / "absent")
    assert isinstance(made, DatasetAdapter)
    with pytest.raises(MissingFileError, match="no such folder"):
        made.files()


def test_official_history_is_asked_questions_not_context(tmp_path: Path) -> None:
    path = write(tmp_path / "qrecc_test.json", official())
    made = adapter(tmp_path)
    (conversation,) = made.conversations()
    first, second, third = conversation.turns
    assert (conversation.id, conversation.split) == ("442", "test")
    assert first == Turn("442_1", GLASS[0][0], rewrite=GLASS[0][1], labels={"answerable": "no", "source": "quac"})
    assert second.references == (Reference("In a village on the lake."),)
    assert second.labels == {"answerable": "yes", "source": "quac", "answer_url": URL}
    assert third.history == (
        Exchange("442_1", GLASS[0][0], None, GLASS[0][1]),
        Exchange("442_2", GLASS[1][0], "In a village on the lake.", GLASS[1][1]),
    )
    assert made.files() == (path,)
    assert made.qrels() == {}


def test_first_question_switch_acts_on_the_turn_and_on_later_history(tmp_path: Path) -> None:
    write(tmp_path / "qrecc_test.json", official())
    asked, rewritten = turns(adapter(tmp_path, first_question="asked")), turns(adapter(tmp_path, first_question="rewrite"))
    assert asked == turns(adapter(tmp_path))
    assert QReCC.option_values["first-question"][0] == "asked"
    assert [turn.query for turn in rewritten] == [GLASS[0][1], GLASS[1][0], GLASS[2][0]]
    assert [[exchange.query for exchange in turn.history] for turn in rewritten] == [[], [GLASS[0][1]], [GLASS[0][1], GLASS[1][0]]]
    assert [turn.rewrite for turn in rewritten] == [turn.rewrite for turn in asked]


def test_an_empty_rewrite_is_no_rewrite(tmp_path: Path) -> None:
    write(tmp_path / "qrecc_test.json", official([("Who was Aldo Ferri?", "", "A glassblower."), GLASS[1]]))
    first, second = turns(adapter(tmp_path, first_question="rewrite"))
    assert (first.rewrite, first.query) == (None, "Who was Aldo Ferri?")
    assert second.history == (Exchange("442_1", "Who was Aldo Ferri?", "A glassblower.", None),)


def test_scai_turns_bring_their_gold(tmp_path: Path) -> None:
    path = write(tmp_path / "scai-qrecc21-test-turns.json", scai(official()))
    write(tmp_path / "qrels_test.txt", {"442_2": {"another": 1}})
    made = adapter(tmp_path)
    assert made.qrels() == {"442_2": {f"{URL}_p2": 1}, "442_3": {f"{URL}_p3": 1}}
    assert [made.retrieval_turn(turn) for turn in turns(made)] == [False, True, True]
    assert made.files() == (path,)
    assert turns(made)[2].history[1].response == "In a village on the lake."


def test_sampled_turns_keep_their_number_and_written_history(tmp_path: Path) -> None:
    write(tmp_path / "dev-sampled2k-modified.json", sampled(3, conversation=9) + sampled(2, conversation=5) + sampled(1, conversation=9))
    conversations = list(adapter(tmp_path, "dev").conversations())
    assert [(c.id, [turn.id for turn in c.turns]) for c in conversations] == [("9", ["9_1", "9_3"]), ("5", ["5_2"])]
    assert conversations[0].turns[1].history == (Exchange("9_1", GLASS[0][1], None), Exchange("9_2", GLASS[1][0], GLASS[1][2]))
    assert conversations[1].turns[0].gold == {f"{URL}_p2": 1}


@pytest.mark.parametrize("context", [["one"], ["one", "two", "three", "four", "five", "six"]])
def test_a_sampled_turn_with_a_cut_history_is_an_error(tmp_path: Path, context: list[str]) -> None:
    (record,) = sampled(3)
    write(tmp_path / "dev-sampled2k-modified.json", [{**record, "NewContext": context}])
    with pytest.raises(DataError, match=rf"record 0\]: turn 9_3: NewContext: expected 4 items, found {len(context)}"):
        turns(adapter(tmp_path, "dev"))


def test_a_sampled_turn_twice_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "dev-sampled2k-modified.json", sampled(3, 2, 3))
    with pytest.raises(DataError, match=r"record 2\]: turn 9_3 appears twice"):
        turns(adapter(tmp_path, "dev"))


@pytest.mark.parametrize("name", ["qrels_test.txt", "qrels.txt", "qrels_test.txt.gz"])
def test_gold_from_json_judgements(tmp_path: Path, name: str) -> None:
    turns_path = write(tmp_path / "qrecc_test.json", official())
    qrels_path = write(tmp_path / "q" / name, {"442_1": {"": 1}, "442_2": {"a": 1, "b": 1}, "7_1": {"c": 1}})
    made = adapter(tmp_path)
    assert made.files() == (turns_path, qrels_path)
    assert made.qrels() == {"442_2": {"a": 1, "b": 1}}


def test_the_splits_own_judgements_come_before_the_general_file(tmp_path: Path) -> None:
    write(tmp_path / "qrecc_test.json", official())
    write(tmp_path / "qrels.txt", {"442_2": {"general": 1}})
    write(tmp_path / "qrels_test.txt", {"442_2": {"own": 1}})
    assert adapter(tmp_path).qrels() == {"442_2": {"own": 1}}


def test_judgements_of_another_split_are_noticed(tmp_path: Path) -> None:
    write(tmp_path / "qrecc_test.json", official())
    write(tmp_path / "qrels.txt", {"442_1": {"a": 1}})
    with pytest.raises(DataError, match=r"turn 442_1 has no answer but 1 gold passages .* of another split .* qrels_test\.txt"):
        adapter(tmp_path).qrels()


@pytest.mark.parametrize("text", ["QReCC-Test_2_2\t0\t51467465\t1\n", '{"442_2": {"51467465": 1}}'])
def test_machine_dependent_integer_ids_are_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path / "qrecc_test.json", official())
    (tmp_path / "qrels_test.txt").write_text(text)
    with pytest.raises(DataError, match=r"named by integers.*in the order in which one machine listed the collection's folders"):
        adapter(tmp_path).qrels()


def test_an_integer_file_under_its_own_name_is_not_taken(tmp_path: Path) -> None:
    turns_path = write(tmp_path / "qrecc_test.json", official())
    (tmp_path / "qrecc_qrel.tsv").write_text("QReCC-Test_442_2\t0\t51467465\t1\n")
    assert adapter(tmp_path).files() == (turns_path,)


def test_judgements_with_other_turn_ids_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "qrels.txt", {"QReCC-Test_2_2": {"a": 1}})
    with pytest.raises(DataError, match="key 'QReCC-Test_2_2' is not a turn id like '442_2'"):
        read_passage_judgements(path)
    path.write_text("442_2 a\n")
    with pytest.raises(DataError, match=r"qrels\.txt:1: not valid JSON"):
        read_passage_judgements(path)


def changed(index: int, **values: Any) -> list[dict[str, Any]]:
    records = official() + official(conversation=443)
    records[index] |= values
    return records


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            changed(1, Context=[GLASS[0][0]]),
            r"record 1\]: turn 442_2: .* text 1 is 'How did he learn it', expected the rewrite of turn 1 \('",
        ),
        (changed(2, Context=[GLASS[0][1], GLASS[1][1]]), r"record 2\]: turn 442_3: .* text 3 is missing, expected the answer of turn 2"),
        (changed(0, Context=["hello"]), r"record 0\]: turn 442_1: .* text 1 is 'hello', expected nothing more"),
        (changed(1, Turn_no=4), r"record 1\]: conversation 442: found turn 4, expected turn 2"),
        (changed(5, Conversation_no=442), r"record 5\]: conversation 442 goes on here after others"),
        (changed(1, Question=""), r"record 1\]: field 'Question' is empty"),
        (changed(1, Rewrite=None), r"record 1\]: field 'Rewrite': expected a string, found null"),
        (changed(1, Answer=3), r"record 1\]: field 'Answer': expected a string, found int 3"),
        ([], r"qrecc_test\.json: holds no turns"),
        ({"a": 1}, r"qrecc_test\.json: expected a JSON list"),
    ],
)
def test_broken_records_are_named(tmp_path: Path, records: Any, message: str) -> None:
    write(tmp_path / "qrecc_test.json", records)
    with pytest.raises(DataError, match=message):
        turns(adapter(tmp_path))


def passages(path: Path, *ids: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"id": id_, "contents": f"About {id_}."}) + "\n" for id_ in ids))
    return path


def test_collection_of_the_official_folders(tmp_path: Path) -> None:
    folders = ("commoncrawl", "wayback", "wayback-backfill")
    files = [passages(tmp_path / "collection" / folder / "part-00.jsonl", f"{folder}_p0") for folder in folders]
    passages(tmp_path / "passages.jsonl", "left out")
    collection = adapter(tmp_path).collection()
    assert (collection.origin, collection.files) == ("corpus", tuple(files))
    expected = [Passage(f"{folder}_p0", f"About {folder}_p0.") for folder in folders]
    assert list(collection.passages()) == list(collection.passages()) == expected


def test_collection_below_the_root_or_named(tmp_path: Path) -> None:
    file = passages(tmp_path / "c" / "passages.small.jsonl", "p")
    other = passages(tmp_path / "c" / "deep" / "more.jsonl", "q")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert adapter(tmp_path).collection().files == (file,)
    assert adapter(empty, corpus=other).collection().files == (other,)
    assert adapter(empty, corpus=tmp_path / "c").collection().files == (other, file)


def test_without_a_corpus_there_is_nothing_to_search(tmp_path: Path) -> None:
    path = write(tmp_path / "scai-qrecc21-test-turns.json", scai(official()))
    for root in (tmp_path, path):
        with pytest.raises(MissingFileError, match=r"no file for the QReCC passages: expected commoncrawl/\*\.jsonl.*by id only"):
            adapter(root).collection()


def test_card_agrees_with_the_adapter_and_the_bundled_set() -> None:
    card = load_config(DatasetCard, PACKAGE / "cards" / "qrecc.yaml")
    assert (card.name, set(card.splits), card.bm25) == (QReCC.name, set(QReCC.splits.values()), {"k1": 0.82, "b": 0.68})
    mini = turns(adapter(PACKAGE / "mini" / "qrecc", "mini"))
    assert (card.splits["mini"].conversations, card.splits["mini"].turns) == (len({turn.conversation_id for turn in mini}), len(mini))


def test_real_official_sample_with_the_published_judgements(real_data: Path) -> None:
    made = adapter(real_data / "qrecc")
    found = turns(made)
    assert [path.name for path in made.files()] == ["qrecc_test.json", "qrels_test.txt.gz"]
    assert (len({turn.conversation_id for turn in found}), len(found)) == (9, 44)
    assert Counter(turn.labels["answerable"] for turn in found) == {"yes": 41, "no": 3}
    assert len(made.qrels()) == 21
    # Turn 442_1 has an empty answer, which Context leaves out; the asked question stands in history, not the rewrite.
    first, second = (next(turn for turn in found if turn.id == id_) for id_ in ("442_1", "442_2"))
    assert second.history == (Exchange("442_1", first.query, None, first.rewrite),)
    assert first.query != first.rewrite
    rewritten = turns(adapter(real_data / "qrecc", first_question="rewrite"))
    assert sum(turn.query != asked.query for turn, asked in zip(rewritten, found, strict=True)) > 0
    assert all(turn.query == turn.rewrite for turn in rewritten if turn.number == 1)


def test_real_dev_sample(real_data: Path) -> None:
    made = adapter(real_data / "qrecc", "dev")
    conversations = list(made.conversations())
    found = turns(made)
    assert (len(conversations), len(found), len(made.qrels())) == (800, 1264, 594)
    assert Counter(turn.labels["answerable"] for turn in found)["no"] == 122
    assert all(len(turn.history) == turn.number - 1 for turn in found)
    assert not any(turn.gold for turn in found if turn.labels["answerable"] == "no")
    judged = read_passage_judgements(real_data / "qrecc" / "qrels" / "qrels_dev.txt")
    assert len(judged) == 5217
    assert all(judged[turn.id] == turn.gold for turn in found)


def test_real_test_judgements(real_data: Path) -> None:
    judged = read_passage_judgements(real_data / "qrecc" / "qrels" / "qrels_test.txt.gz")
    assert (len(judged), sum(map(bool, judged.values()))) == (16308, 8144)


def test_real_integer_judgements_are_refused(real_data: Path, tmp_path: Path) -> None:
    write(tmp_path / "qrecc_test.json", official())
    (tmp_path / "qrels_test.txt.gz").write_bytes((real_data / "qrecc" / "qrels" / "qrecc_qrel.tsv.gz").read_bytes())
    with pytest.raises(DataError, match=r"qrels_test\.txt\.gz:1: passages are named by integers"):
        adapter(tmp_path).qrels()


def test_real_collection_sample(real_data: Path) -> None:
    found = list(adapter(real_data / "qrecc").collection().passages())
    assert len(found) == len({passage.id for passage in found}) == 158
