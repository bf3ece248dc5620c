"""Judgements in their three forms, the real files among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.own_qrels import read_own_qrels
from convbench.errors import DataError, UsageError
from convbench.exchange import FORMATS
from convbench.exchange.base import ExportRequest, ImportRequest
from tests.exchange.runs import passage_ids, refusal, turn_ids

QRELS = FORMATS.get("qrels")
judgements = st.dictionaries(turn_ids, st.dictionaries(passage_ids, st.integers(-2, 4), min_size=1, max_size=4), min_size=1, max_size=4)


def imported(source: Path, out: Path, turn_ids: str | None = None) -> dict[str, dict[str, int]]:
    QRELS.import_(ImportRequest(source, out, turn_ids))
    return read_own_qrels(out)


@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".json"])
@settings(max_examples=30)
@given(grades=judgements)
def test_judgements_come_back(tmp_path_factory, suffix, grades):
    folder = tmp_path_factory.mktemp("qrels")
    (folder / "own.json").write_text(json.dumps(grades), encoding="utf-8")
    QRELS.export(ExportRequest(folder / "own.json", None, folder / f"foreign{suffix}", "<conversation>-<turn>"))
    assert imported(folder / f"foreign{suffix}", folder / "back.txt", "<conversation>-<turn>") == grades


def test_the_judgements_of_a_dataset(tmp_path):
    dataset = open_dataset(DatasetRequest("inscit"))
    summary = QRELS.export(ExportRequest(None, dataset, tmp_path / "q.txt"))
    assert read_own_qrels(tmp_path / "q.txt") == dataset.adapter.qrels()
    assert summary.counts == {"turns": 53, "judgements": sum(map(len, dataset.adapter.qrels().values()))}


def test_topiocqa_judgements_of_others(real_data, tmp_path):
    qrels = imported(real_data / "topiocqa" / "gold" / "dev_gold.trec", tmp_path / "q.txt", "<conversation>-<turn>")
    assert len(qrels) == 1466
    assert qrels["1_1"] == {"14979903": 1}
    assert qrels == open_dataset(DatasetRequest("topiocqa", real_data / "topiocqa" / "hub")).adapter.qrels()


@pytest.mark.parametrize(
    ("file", "turns", "pairs", "empty"), [("qrels_dev.txt", 2485, 2941, 2732), ("qrels_test.txt.gz", 8144, 10435, 8164)]
)
def test_qrecc_judgements_of_others(real_data, tmp_path, file, turns, pairs, empty):
    summary = QRELS.import_(ImportRequest(real_data / "qrecc" / "qrels" / file, tmp_path / "q.txt"))
    assert summary.counts == {"turns": turns, "judgements": pairs}
    assert [(note.what, note.count) for note in summary.notes] == [("turns without a judged passage", empty)]


def test_qrecc_judgements_in_columns(real_data, tmp_path):
    source = real_data / "qrecc" / "qrels" / "qrecc_qrel.tsv.gz"
    assert len(imported(source, tmp_path / "q.txt", "QReCC-Test_<conversation>_<turn>")) == 8144


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1-1 0 a 1\n", "source:1: turn id '1-1' is not of the form"),
        ("1_1 0 a 1\n1_2 0 a 1.5\n", "source:2: turn 1_2: grade '1.5' is not an integer"),
        ("1_1 0 a 9999999999\n", "a grade beyond 10000"),
        ('{"1_1": {"a": 1.5}}', "expected an integer"),
        ('{"1_1": {"a": true}}', "expected an integer"),
        ('{"1_1": {"a": 1, "a": 2}}', "the key 'a' appears twice"),
        ('{"1_1": {"a\\tb": 1}}', "control character"),
        ('{"1\\n_1": []}', "['1\\n_1']: expected an object"),
        ("query-id\tcorpus-id\tscore\n1_1\ta\n", "source:2: expected 3 columns"),
        ("query-id\tcorpus-id\tgrade\n1_1\ta\t1\n", "source:1: expected the header"),
        ("query-id\tcorpus-id\tscore\n1_1\ta\tx\n", "source:2: query '1_1': grade 'x' is not an integer"),
        ("query-id\tcorpus-id\tscore\n1_1\ta\t1\n1_1\ta\t2\n", "source:3: a passage has two grades"),
        ("query-id\tcorpus-id\tscore\n1_1\t\t1\n", "the passage id is empty"),
    ],
)
def test_bad_judgements_are_refused(tmp_path, content, message):
    (tmp_path / "source").write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        imported(tmp_path / "source", tmp_path / "q.txt")
    assert message in str(caught.value)
    assert not (tmp_path / "q.txt").exists()


@pytest.mark.parametrize("content", ["", "\n \n", "{}", '{"1_1": {}}', '{"1_1": {"": 1}}', "query-id\tcorpus-id\tscore\n"])
def test_a_file_without_judgements_is_refused(tmp_path, content):
    (tmp_path / "source").write_text(content, encoding="utf-8")
    for action in (
        lambda: QRELS.import_(ImportRequest(tmp_path / "source", tmp_path / "q.txt")),
        lambda: QRELS.export(ExportRequest(tmp_path / "source", None, tmp_path / "q.txt")),
    ):
        with pytest.raises(DataError, match=r"source: holds no judgements"):
            action()
    assert not (tmp_path / "q.txt").exists()


def test_the_same_turn_under_two_names_is_refused(tmp_path):
    (tmp_path / "source").write_text("1-1 0 a 1\n1_1 0 a 1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"source:2: turn id '1_1' is not of the form '<conversation>-<turn>'"):
        imported(tmp_path / "source", tmp_path / "q.txt", "<conversation>-<turn>")


def test_something_must_be_named(tmp_path):
    with pytest.raises(UsageError, match="name a file of judgements, or a dataset"):
        QRELS.export(ExportRequest(None, None, tmp_path / "q.txt"))


table = st.text(st.sampled_from('query-id\tcorpus-id\tscore\n1_"{}:,'), max_size=60)


@given(content=st.binary(max_size=60) | table.map(str.encode) | table.map(lambda text: f"query-id\tcorpus-id\tscore\n{text}".encode()))
def test_whatever_the_file_holds_only_our_own_errors_come(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "source").write_bytes(content)
    if refusal(lambda: QRELS.import_(ImportRequest(folder / "source", folder / "q.txt"))):
        assert not (folder / "q.txt").exists()
    else:
        read_own_qrels(folder / "q.txt")
