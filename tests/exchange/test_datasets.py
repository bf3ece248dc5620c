"""BEIR folders and hub layouts: whole datasets out and back, and the layouts that others publish."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.exchange import FORMATS
from convbench.exchange.base import ExportRequest, ImportRequest, Summary
from convbench.exchange.parquet import write_rows
from convbench.types import Passage, Turn
from tests.exchange.runs import conversations, passage_ids, refusal, texts

MINI = ["topiocqa", "qrecc", "orquac", "inscit", "faithdial"]
words = texts.filter(str.strip)


def lines(path: Path, values: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(value) + "\n" for value in values)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def own(folder: Path) -> Dataset:
    return open_dataset(DatasetRequest("generic", folder))


def passages(dataset: Dataset) -> list[Passage]:
    return list(dataset.adapter.collection().passages())


def bring(name: str, source: Path, turn_ids: str | None = None, split: str | None = None) -> tuple[Dataset, Summary]:
    """The dataset that a foreign folder becomes, and the summary."""
    out = source.with_name(f"{source.name}-imported")
    summary = FORMATS.get(name).import_(ImportRequest(source, out, turn_ids, split))
    return own(out), summary


def notes(summary: Summary) -> dict[str, int]:
    return {note.what: note.count for note in summary.notes}


@st.composite
def own_folders(draw) -> dict[str, list[dict[str, Any]]]:
    """The content of a dataset folder of ours."""
    collection = draw(st.dictionaries(passage_ids, st.tuples(texts, texts), min_size=1, max_size=4))
    optional = {"response": words, "additional_responses": st.lists(words, min_size=1, max_size=2), "rewrite": words, "topic": words}
    optional |= {"labels": st.dictionaries(st.sampled_from(["source", "vrm"]), texts, min_size=1), "knowledge": words}
    more = st.fixed_dictionaries({}, optional=optional)
    turns, qrels = [], []
    for name in draw(st.lists(conversations, min_size=1, max_size=3, unique=True)):
        for number in range(1, draw(st.integers(1, 3)) + 1):
            turns.append({"conversation_id": name, "turn": number, "query": draw(words), **draw(more)})
            grades = draw(st.dictionaries(st.sampled_from(sorted(collection)), st.integers(-1, 3), max_size=3))
            qrels += [{"turn": f"{name}_{number}", "passage": passage, "grade": grade} for passage, grade in grades.items()]
    rows = [{"id": id_, "title": title, "text": text} for id_, (title, text) in collection.items()]
    return {"conversations": turns, "collection": rows, "qrels": qrels}


def write_own(folder: Path, content: dict[str, list[dict[str, Any]]]) -> Dataset:
    lines(folder / "conversations.jsonl", content["conversations"])
    lines(folder / "collection.jsonl", content["collection"])
    judged = [f"{row['turn']} 0 {row['passage'].replace(' ', '␣')} {row['grade']}\n" for row in content["qrels"]]
    (folder / "qrels.txt").write_text("".join(judged), encoding="utf-8")
    return own(folder)


@settings(max_examples=30)
@given(content=own_folders())
def test_a_dataset_comes_back_from_a_beir_folder_whole(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("beir")
    dataset = write_own(folder / "own", content)
    sent = FORMATS.get("beir").export(ExportRequest(None, dataset, folder / "foreign"))
    back, brought = bring("beir", folder / "foreign")
    assert back.turns == dataset.turns
    assert back.split == dataset.split
    assert back.adapter.qrels() == dataset.adapter.qrels()
    assert passages(back) == passages(dataset)
    assert sent.notes == brought.notes == []
    assert sent.counts == brought.counts


def without_what_mteb_lacks(turn: Turn) -> Turn:
    return replace(turn, references=(), rewrite=None, topic=None, labels={}, history=tuple(replace(e, rewrite=None) for e in turn.history))


@settings(max_examples=30)
@given(content=own_folders())
def test_conversations_judgements_and_passages_come_back_from_a_hub_layout(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("mteb")
    dataset = write_own(folder / "own", content)
    sent = FORMATS.get("mteb").export(ExportRequest(None, dataset, folder / "foreign"))
    back, brought = bring("mteb", folder / "foreign")
    assert [without_what_mteb_lacks(turn) for turn in back.turns] == [without_what_mteb_lacks(turn) for turn in dataset.turns]
    assert back.adapter.qrels() == dataset.adapter.qrels()
    assert passages(back) == passages(dataset)
    assert brought.notes == []
    last = [conversation.turns[-1] for conversation in dataset.conversations]
    expected = {
        "responses that no later turn's history holds": sum("response" in row for row in content["conversations"] if is_last(row, last)),
        "additional responses": sum("additional_responses" in row for row in content["conversations"]),
        **{name: sum(name in row for row in content["conversations"]) for name in ("rewrite", "topic", "labels", "knowledge")},
    }
    assert notes(sent) == {name: count for name, count in expected.items() if count}


def is_last(row: dict[str, Any], last: list[Turn]) -> bool:
    return f"{row['conversation_id']}_{row['turn']}" in {turn.id for turn in last}


@pytest.mark.parametrize("name", MINI)
def test_bundled_sets_through_a_beir_folder(tmp_path, name):
    dataset = open_dataset(DatasetRequest(name))
    FORMATS.get("beir").export(ExportRequest(None, dataset, tmp_path / "foreign", "<conversation>-<turn>"))
    back, summary = bring("beir", tmp_path / "foreign", "<conversation>-<turn>")
    assert [(turn.id, turn.query, turn.gold, turn.rewrite, turn.topic, turn.labels) for turn in back.turns] == [
        (turn.id, turn.query, turn.gold, turn.rewrite, turn.topic, turn.labels) for turn in dataset.turns
    ]
    assert [[(r.text, r.kind == "knowledge") for r in turn.references] for turn in back.turns] == [
        [(r.text, r.kind == "knowledge") for r in turn.references] for turn in dataset.turns
    ]
    assert passages(back) == passages(dataset)
    assert summary.notes == []


@pytest.mark.parametrize("name", ["beir", pytest.param("mteb", marks=pytest.mark.slow)])
def test_a_conversation_of_a_thousand_turns(tmp_path, name):
    turns = [{"conversation_id": "a", "turn": n, "query": f"q{n}", "response": f"r{n}"} for n in range(1, 1001)]
    content = {"conversations": turns, "collection": [{"id": "p", "text": "x"}], "qrels": [{"turn": "a_1000", "passage": "p", "grade": 1}]}
    dataset = write_own(tmp_path / "own", content)
    FORMATS.get(name).export(ExportRequest(None, dataset, tmp_path / "foreign"))
    back, _ = bring(name, tmp_path / "foreign")
    assert [without_what_mteb_lacks(turn) for turn in back.turns] == [without_what_mteb_lacks(turn) for turn in dataset.turns]


def test_the_beir_layout(tmp_path):
    content = {
        "conversations": [{"conversation_id": "a", "turn": 1, "query": "Who?", "response": "Me.", "labels": {"source": "web"}}],
        "collection": [{"id": 'p "1"', "title": "T", "text": "x"}],
        "qrels": [{"turn": "a_1", "passage": 'p "1"', "grade": 2}],
    }
    FORMATS.get("beir").export(ExportRequest(None, write_own(tmp_path / "own", content), tmp_path / "out"))
    assert (tmp_path / "out" / "qrels" / "all.tsv").read_text(encoding="utf-8") == 'query-id\tcorpus-id\tscore\na_1\t"p ""1"""\t2\n'
    query = json.loads((tmp_path / "out" / "queries.jsonl").read_text(encoding="utf-8"))
    assert query == {"_id": "a_1", "text": "Who?", "metadata": {"convbench": {"response": "Me.", "labels": {"source": "web"}}}}
    passage = json.loads((tmp_path / "out" / "corpus.jsonl").read_text(encoding="utf-8"))
    assert passage == {"_id": 'p "1"', "title": "T", "text": "x"}


def test_what_a_beir_folder_cannot_hold_is_named(tmp_path):
    summary = FORMATS.get("beir").export(ExportRequest(None, open_dataset(DatasetRequest("faithdial")), tmp_path / "out"))
    assert notes(summary) == {"histories that differ from the earlier turns": 13}


def test_a_collection_of_gold_passages_only_is_named(real_data, tmp_path):
    dataset = open_dataset(DatasetRequest("topiocqa", real_data / "topiocqa" / "hub", limit=3))
    summary = FORMATS.get("beir").export(ExportRequest(None, dataset, tmp_path / "out"))
    assert notes(summary) == {"the corpus": 1}
    assert summary.counts["conversations"] == 3
    assert summary.counts["turns"] == summary.counts["judged_turns"] == len(dataset.turns)


PASSAGES = [{"_id": "p1", "title": "One", "text": "first"}, {"_id": "p2", "title": None, "text": "second"}]


def beir(folder: Path, queries: list[dict[str, Any]], qrels: str = "", split: str = "test") -> Path:
    """A folder of this content."""
    lines(folder / "corpus.jsonl", PASSAGES)
    lines(folder / "queries.jsonl", queries)
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}", encoding="utf-8")
    return folder


def test_queries_that_stand_alone(tmp_path):
    source = beir(
        tmp_path / "b", [{"_id": "PLAIN-2", "text": "one", "metadata": {"url": "u"}}, {"_id": 7, "text": "two"}], "PLAIN-2\tp1\t2\n"
    )
    dataset, summary = bring("beir", source, "<conversation>")
    assert [(turn.id, turn.query, dict(turn.gold)) for turn in dataset.turns] == [("PLAIN-2_1", "one", {"p1": 2}), ("7_1", "two", {})]
    assert passages(dataset) == [Passage("p1", "first", "One"), Passage("p2", "second")]
    assert dataset.split == "test"
    assert notes(summary) == {"field 'metadata.url'": 1}


def test_turns_in_any_order(tmp_path):
    queries = [{"_id": id_, "text": f"q{id_}"} for id_ in ("a_2", "b_1", "a_1")]
    dataset, _ = bring("beir", beir(tmp_path / "b", queries, "a_2\tp1\t1\n"))
    assert [turn.id for turn in dataset.turns] == ["a_1", "a_2", "b_1"]
    assert [exchange.query for exchange in dataset.turns[1].history] == ["qa_1"]


def test_judgements_of_unknown_queries_and_passages_are_named(tmp_path):
    dataset, summary = bring("beir", beir(tmp_path / "b", [{"_id": "a_1", "text": "q"}], "a_1\tp9\t1\nz_1\tp1\t1\na_1\tp1\t0\n"))
    assert dataset.adapter.qrels() == {"a_1": {"p9": 1, "p1": 0}}
    assert notes(summary) == {"judged queries": 1, "texts of judged passages": 1}


def test_of_several_splits_one_is_taken_with_its_own_conversations(tmp_path):
    source = beir(tmp_path / "b", [{"_id": id_, "text": "q"} for id_ in ("a_1", "a_2", "b_1")], "a_2\tp1\t1\n")
    beir(tmp_path / "b", [{"_id": id_, "text": "q"} for id_ in ("a_1", "a_2", "b_1")], "b_1\tp1\t1\n", split="dev")
    dataset, summary = bring("beir", source)
    assert [turn.id for turn in dataset.turns] == ["a_1", "a_2"]
    assert notes(summary) == {"conversations without a judged turn": 1}
    other, _ = bring("beir", source.rename(tmp_path / "c"), split="dev")
    assert ([turn.id for turn in other.turns], other.split) == (["b_1"], "dev")


def conversation(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]


def test_a_hub_layout_of_json_lines_with_conversations(tmp_path):
    folder = tmp_path / "hub"
    lines(folder / "corpus" / "corpus-00000-of-00002.jsonl", [{"id": 1, "text": "first"}])
    lines(folder / "corpus" / "corpus-00001-of-00002.jsonl.gz", [{"id": 2, "text": "second", "title": "Two"}])
    lines(
        folder / "queries" / "validation.jsonl",
        [{"id": "1-3", "text": conversation("a", "A", "b", "B", "c")}, {"id": "2-1", "text": ["x"]}],
    )
    lines(folder / "default" / "validation.jsonl", [{"query-id": "1-3", "corpus-id": 2, "score": 1.0}])
    dataset, summary = bring("mteb", folder, "<conversation>-<turn>")
    assert [(turn.id, turn.query) for turn in dataset.turns] == [("1_1", "a"), ("1_2", "b"), ("1_3", "c"), ("2_1", "x")]
    assert [(exchange.query, exchange.response) for exchange in dataset.turns[2].history] == [("a", "A"), ("b", "B")]
    assert dataset.adapter.qrels() == {"1_3": {"2": 1}}
    assert passages(dataset) == [Passage("1", "first"), Passage("2", "second", "Two")]
    assert dataset.split == "validation"
    assert summary.notes == []


def test_a_hub_layout_of_tables(tmp_path):
    import pyarrow as pa

    folder, text = tmp_path / "hub", pa.string()
    write_rows(folder / "corpus" / "test-00000-of-00001.parquet", {"_id": text, "text": text}, [("p1", "first")])
    write_rows(
        folder / "queries" / "test-00000-of-00001.parquet", {"_id": text, "text": pa.list_(text)}, [("a", ["Hi", "who?", "me", "why?"])]
    )
    for split, grade in (("test", 2), ("train", 1)):
        columns = {"query-id": text, "corpus-id": text, "score": pa.float64()}
        write_rows(folder / "data" / f"{split}-00000-of-00001.parquet", columns, [("a", "p1", grade)])
    dataset, summary = bring("mteb", folder, "<conversation>")
    assert [(turn.id, turn.query) for turn in dataset.turns] == [("a_1", "who?"), ("a_2", "why?")]
    assert dataset.adapter.qrels() == {"a_2": {"p1": 2}}
    assert notes(summary) == {"opening words of the system": 1}


def test_one_part_in_two_forms_is_read_once(tmp_path):
    source = beir(tmp_path / "b", [{"_id": "a_1", "text": "q"}], "a_1\tp1\t1\n")
    lines(source / "qrels" / "test.jsonl", [{"query-id": "a_1", "corpus-id": "p1", "score": 3}])
    dataset, summary = bring("mteb", source)
    assert dataset.adapter.qrels() == {"a_1": {"p1": 1}}
    assert notes(summary) == {"qrels in .jsonl files": 1}


Q1 = {"_id": "a_1", "text": "q"}


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([{"_id": "PLAIN-2", "text": "q"}], "queries.jsonl:1: turn id 'PLAIN-2' is not of the form"),
        ([Q1, {"_id": "a_3", "text": "q"}], "queries.jsonl:2: conversation 'a': no turn 2, but a turn 3"),
        ([Q1, Q1], "queries.jsonl:2: query 'a_1' appears twice"),
        ([{"_id": "a_1", "text": " "}], "turn 1 is empty"),
        ([{"_id": "a_1"}], "field 'text' is missing"),
        ([{"_id": "a_1", "text": []}], "expected a conversation that ends with the user's words"),
        ([{"_id": "a_1", "text": conversation("q", "A")}], "expected a conversation that ends with the user's words"),
        ([{"_id": "a_1", "text": [*conversation("q", "A"), {"role": "assistant", "content": "B"}]}], "speaks twice in a row (utterance 3)"),
        (
            [{"_id": "a_1", "text": [{"role": "system", "content": "B"}]}],
            "field 'role': expected user or assistant",
        ),
        ([{"_id": "a_1", "text": conversation("q", "A", "r")}], "query 'a_1' is turn 1, but its text holds 2 utterances of the user"),
        ([Q1, {"_id": "a_2", "text": conversation("other", "A", "r")}], "an earlier query says 'q' where this one says 'other'"),
        (
            [{"_id": "a_2", "text": conversation("q", "A", "r")}, {"_id": "a_3", "text": conversation("q", "B", "r", "C", "s")}],
            "an earlier query has the answer 'A', this one 'B'",
        ),
        ([{**Q1, "metadata": {"convbench": {"labels": {"a": 1}}}}], "field 'a': expected a string"),
        ([], "holds no queries"),
    ],
)
def test_queries_that_are_no_conversations_are_refused(tmp_path, queries, message):
    source = beir(tmp_path / "b", queries, "a_1\tp1\t1\n")
    with pytest.raises(DataError) as caught:
        bring("beir", source)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


def test_other_parts_are_named(tmp_path):
    source = beir(tmp_path / "b", [Q1], "a_1\tp1\t1\n")
    lines(source / "top_ranked" / "test.jsonl", [{"query-id": "a_1", "corpus-ids": ["p1"]}])
    (source / "README.md").touch()
    assert notes(bring("mteb", source)[1]) == {"files and folders": 1}


@pytest.mark.parametrize("name", ["beir", "mteb"])
def test_a_splits_name_leads_nowhere_else(tmp_path, name):
    content = {"conversations": [{"conversation_id": "a", "turn": 1, "query": "q"}], "collection": [{"id": "p", "text": "x"}], "qrels": []}
    write_own(tmp_path / "own", content)
    (tmp_path / "own" / "dataset.yaml").write_text("default_split: ../../outside\n", encoding="utf-8")
    FORMATS.get(name).export(ExportRequest(None, own(tmp_path / "own"), tmp_path / "out" / "folder"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "own"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["folder"]


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="no such folder"):
        bring("beir", tmp_path / "nowhere")
    source = beir(tmp_path / "b", [Q1], "a_1\tp1\t1\n", split="train")
    beir(tmp_path / "b", [Q1], "a_1\tp1\t1\n", split="dev")
    with pytest.raises(MissingFileError, match="qrels of several splits; there are dev, train: name one with --split"):
        bring("beir", source)
    with pytest.raises(MissingFileError, match="no qrels of the split 'test'; there are dev, train"):
        bring("beir", source, split="test")
    (source / "corpus.jsonl").unlink()
    with pytest.raises(MissingFileError, match="no corpus: expected"):
        bring("beir", source, split="dev")
    assert list(tmp_path.iterdir()) == [source]


def test_passages_with_unusable_ids_are_refused(tmp_path):
    source = beir(tmp_path / "b", [Q1], "a_1\tp1\t1\n")
    lines(source / "corpus.jsonl", [{"_id": "a\nb", "text": ""}])
    with pytest.raises(DataError, match=r"corpus.jsonl:1: passage id 'a\\nb' holds a control character"):
        bring("beir", source)


def test_a_dataset_and_no_run_is_exported(tmp_path):
    for source, dataset in ((None, None), (tmp_path, open_dataset(DatasetRequest("topiocqa")))):
        with pytest.raises(UsageError, match="holds a dataset: name one with -d, and no run"):
            FORMATS.get("beir").export(ExportRequest(source, dataset, tmp_path / "out"))


@pytest.mark.parametrize("name", ["beir", "mteb"])
def test_an_empty_folder_is_filled_and_another_is_left_alone(tmp_path, name):
    dataset = open_dataset(DatasetRequest("topiocqa"))
    (tmp_path / "out").mkdir()
    FORMATS.get(name).export(ExportRequest(None, dataset, tmp_path / "out"))
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*"))
    with pytest.raises(UsageError, match="exists already"):
        FORMATS.get(name).export(ExportRequest(None, dataset, tmp_path / "out"))
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")) == before


def test_a_folder_for_the_hub_says_where_its_tables_are(tmp_path):
    yaml = pytest.importorskip("yaml")
    FORMATS.get("mteb").export(ExportRequest(None, open_dataset(DatasetRequest("topiocqa")), tmp_path / "out"))
    card = yaml.safe_load((tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---")[1])
    for config in card["configs"]:
        for files in config["data_files"]:
            assert list((tmp_path / "out").glob(files["path"])), files
    assert [config["config_name"] for config in card["configs"]] == ["default", "corpus", "queries"]


odd = st.sampled_from(
    [None, True, 1, -1, "", "q", "a_1", [], {}, ["x"], [1], [{}], [{"role": "user"}], {"convbench": {}}, {"convbench": 1}]
)
objects = st.dictionaries(st.sampled_from(["_id", "id", "text", "title", "metadata", "query-id", "corpus-id", "score"]), odd, max_size=4)


@settings(max_examples=60)
@given(queries=st.lists(objects, max_size=3), corpus=st.lists(objects, max_size=2), qrels=st.lists(objects, max_size=2))
def test_whatever_the_files_hold_only_our_own_errors_come(tmp_path_factory, queries, corpus, qrels):
    folder = tmp_path_factory.mktemp("fuzz")
    lines(folder / "hub" / "corpus.jsonl", [{"_id": "p1", "text": "t"}, *corpus])
    lines(folder / "hub" / "queries.jsonl", [{"_id": "a_1", "text": "t"}, *queries])
    lines(folder / "hub" / "qrels" / "test.jsonl", [{"query-id": "a_1", "corpus-id": "p1", "score": 1}, *qrels])
    if refusal(lambda: FORMATS.get("mteb").import_(ImportRequest(folder / "hub", folder / "out"))):
        assert not (folder / "out").exists()
    else:
        assert own(folder / "out").turns


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    import tracemalloc

    source = beir(tmp_path / "b", [Q1], "a_1\tp1\t1\n")
    with (source / "corpus.jsonl").open("w", encoding="utf-8") as handle:
        for number in range(40_000):
            handle.write(json.dumps({"_id": f"p{number}", "title": "", "text": "word " * 120}) + "\n")
    tracemalloc.start()
    dataset, _ = bring("beir", source)
    FORMATS.get("mteb").export(ExportRequest(None, dataset, tmp_path / "hub"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20  # the corpus has more
    assert (source / "corpus.jsonl").stat().st_size > 24 << 20
