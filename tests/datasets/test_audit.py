from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from convbench.datasets import hash_sort
from convbench.datasets.audit import audit
from convbench.datasets.corpora import tsv_passages
from convbench.datasets.finding import Finding
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.store import ArrowPassageStore
from convbench.datasets.store_build import build_store
from convbench.types import Conversation, Exchange, Passage, Reference, Turn, qrels_of

CLEAN = [Passage("p1", "Otters sleep on their backs."), Passage("p2", "Beavers build dams."), Passage("p3", "Voles dig.")]


def store_of(tmp_path: Path, passages: Sequence[Passage] = CLEAN) -> ArrowPassageStore:
    return build_store(lambda: iter(passages), tmp_path / "store", sources={}, part_rows=3)


def turn(id_: str, query: str, *gold: str) -> Turn:
    return Turn(id_, query, references=(Reference("Yes."),), gold=dict.fromkeys(gold, 1), rewrite=query)


def conversation(id_: str, *turns: Turn) -> Conversation:
    return Conversation(id_, "test", "dev", turns)


def findings(conversations: Sequence[Conversation], store: ArrowPassageStore) -> dict[str, Finding]:
    found = audit(conversations, qrels_of([turn for c in conversations for turn in c.turns]), store)
    return {finding.check: finding for finding in found}


def test_nothing_to_find(tmp_path: Path) -> None:
    clean = conversation("a", turn("a_1", "how do otters sleep?", "p1"), turn("a_2", "who builds dams?", "p2"))
    assert findings([clean], store_of(tmp_path)) == {}


def test_turns_that_lack_something(tmp_path: Path) -> None:
    bare = [Turn(f"a_{n}", f"question {n}") for n in range(1, 8)]
    found = findings([conversation("a", turn("a_0", "q", "p1"), *bare)], store_of(tmp_path))
    assert set(found) == {"turns-without-gold", "turns-without-references", "turns-without-rewrite"}
    for finding in found.values():
        assert finding.severity == "info"
        assert finding.count == 7
        assert finding.examples == ("a_1", "a_2", "a_3", "a_4", "a_5")
        assert finding.message.startswith("7 of 8 turns have no ")


def test_grade_zero_is_no_gold(tmp_path: Path) -> None:
    found = audit([conversation("a", turn("a_1", "q"))], {"a_1": {"p1": 0, "not in the collection": 0}}, store_of(tmp_path))
    assert [finding.check for finding in found] == ["turns-without-gold"]


def test_dangling_gold_is_an_error_and_comes_first(tmp_path: Path) -> None:
    talk = conversation("a", turn("a_1", "q", "p1", "gone"), turn("a_2", "r", "gone"), turn("a_3", "s", "lost"))
    found = audit([talk], qrels_of(talk.turns), store_of(tmp_path))
    assert found[0] == Finding(
        "dangling-gold",
        "error",
        2,
        "2 of 3 gold passages are not in the collection: are both of the same release?",
        ("gone (gold of a_1)", "lost (gold of a_3)"),
    )


def test_turn_ids_given_twice(tmp_path: Path) -> None:
    talks = [conversation("a", turn("a_1", "q", "p1"), turn("a_1", "r", "p2")), conversation("b", turn("b_1", "s", "p1"))]
    finding = findings(talks, store_of(tmp_path))["repeated-turn-ids"]
    assert (finding.severity, finding.count, finding.examples) == ("error", 1, ("a_1",))


def test_repeated_queries_count_within_one_conversation(tmp_path: Path) -> None:
    talks = [
        conversation("a", turn("a_1", "Why?", "p1"), turn("a_2", " why?  ", "p2"), turn("a_3", "", "p3"), turn("a_4", "")),
        conversation("b", turn("b_1", "Why?", "p1")),
    ]
    finding = findings(talks, store_of(tmp_path))["repeated-queries"]
    assert (finding.severity, finding.count, finding.examples) == ("warning", 1, ("a_2",))


def test_previous_gold_share(tmp_path: Path) -> None:
    talks = [
        conversation("a", turn("a_1", "q"), turn("a_2", "r", "p1"), turn("a_3", "s", "p2"), turn("a_4", "t"), turn("a_5", "u", "p1", "p3")),
        conversation("b", turn("b_1", "q", "p1"), turn("b_2", "r", "p2")),
    ]
    finding = findings(talks, store_of(tmp_path))["previous-gold"]
    assert (finding.severity, finding.count, finding.examples) == ("info", 1, ("a_5",))
    assert finding.message.startswith("1 of 3 later turns with gold (33%) share a gold passage with an earlier turn")


@pytest.mark.parametrize("bucket_rows", [1, 1 << 20])
def test_repeated_and_empty_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_rows: int) -> None:
    monkeypatch.setattr(hash_sort, "_BUCKET_ROWS", bucket_rows)
    passages = [
        *CLEAN,
        Passage("q1", " Beavers build dams.\n", "another title"),
        Passage("e1", ""),
        Passage("q2", "beavers build dams."),
        Passage("q3", "Beavers build dams."),
        Passage("e2", " \t "),
        Passage("q0", "Otters sleep on their backs."),
    ]
    found = findings([], store_of(tmp_path, passages))
    assert found["repeated-passages"].examples == ("q1 = p2", "q3 = p2", "q0 = p1")
    assert (found["repeated-passages"].severity, found["repeated-passages"].count) == ("warning", 3)
    assert found["empty-passages"] == Finding("empty-passages", "warning", 2, "2 of 9 passages have no text", ("e1", "e2"))


@pytest.mark.parametrize("bucket_rows", [4, 1 << 20])
def test_first_examples_are_the_first_in_the_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_rows: int) -> None:
    monkeypatch.setattr(hash_sort, "_BUCKET_ROWS", bucket_rows)
    passages = [Passage(f"{copy}{n}", f"text {n}") for copy in "ab" for n in range(50)]
    finding = findings([], store_of(tmp_path, passages))["repeated-passages"]
    assert finding.count == 50
    assert finding.examples == ("b0 = a0", "b1 = a1", "b2 = a2", "b3 = a3", "b4 = a4")


def test_real_gold_lies_in_the_real_corpus(real_data: Path, tmp_path: Path) -> None:
    corpus = real_data / "topiocqa" / "corpus" / "full_wiki_segments.sample.tsv"
    store = build_store(lambda: tsv_passages(corpus), tmp_path / "real", sources={})
    rows = [line.split() for line in (real_data / "topiocqa" / "gold" / "dev_gold.trec").read_text().splitlines()]
    qrels = {turn_id: {passage: int(grade)} for turn_id, _, passage, grade in rows}
    assert len(qrels) == 1466
    assert not any(finding.severity == "error" for finding in audit([], qrels, store))


def test_gold_texts_under_other_ids(tmp_path: Path) -> None:
    passages = [*CLEAN, Passage("copy", "Beavers build dams."), Passage("also", "Voles dig.")]
    talk = conversation("a", turn("a_1", "q", "p2"), turn("a_2", "r", "p3", "also"), turn("a_3", "s", "p1"))
    finding = findings([talk], store_of(tmp_path, passages))["repeated-gold"]
    assert (finding.severity, finding.count, finding.examples) == ("warning", 1, ("p2 = copy",))
    assert finding.message.startswith("1 gold passages of 1 turns have a text that stands under other ids too")


def test_both_copies_gold_but_of_different_turns(tmp_path: Path) -> None:
    passages = [*CLEAN, Passage("copy", "Beavers build dams.")]
    talk = conversation("a", turn("a_1", "q", "p2"), turn("a_2", "r", "copy"))
    assert findings([talk], store_of(tmp_path, passages))["repeated-gold"].examples == ("p2 = copy", "copy = p2")


def test_one_text_graded_in_two_ways(tmp_path: Path) -> None:
    store = store_of(tmp_path, [*CLEAN, Passage("copy", "Beavers build dams.")])
    found = audit([conversation("a", turn("a_1", "q", "p2"))], {"a_1": {"p2": 3, "copy": 1, "p1": 2}, "a_2": {"p2": 1, "copy": 1}}, store)
    (finding,) = (finding for finding in found if finding.check == "conflicting-grades")
    assert (finding.severity, finding.count, finding.examples) == ("warning", 1, ("a_1: p2 3, copy 1",))


def test_conflicting_labels(tmp_path: Path) -> None:
    def labelled(id_: str, query: str, gold: str, answerable: str = "yes", *history: Exchange) -> Turn:
        return Turn(id_, query, history, (Reference("Yes."),), {gold: 1}, query, "dams", {"answerable": answerable})

    talks = [
        conversation("a", labelled("a_1", "Who builds dams?", "p2")),
        conversation("b", labelled("b_1", "who builds dams", "p3")),
        conversation("c", labelled("c_1", "Who builds dams??", "p2", "no")),
        conversation("d", labelled("d_1", "Who builds dams?", "p3", "yes", Exchange("d_0", "Hello!", "Hi."))),
    ]
    finding = findings(talks, store_of(tmp_path))["conflicting-labels"]
    assert (finding.severity, finding.count) == ("warning", 2)
    assert finding.examples == ("b_1 and a_1: gold", "c_1 and a_1: answerable")


def test_shortcuts(tmp_path: Path) -> None:
    passages = [
        Passage("p1", "Otters sleep on their backs.", "Sea otter [SEP] Sleep"),
        Passage("p2", "Otters eat urchins.", "Sea otter [SEP] Diet"),
        Passage("p3", "Voles dig.", "Vole"),
    ]

    def asked(number: int, query: str, gold: str, response: str, topic: str, answerable: str = "yes") -> Turn:
        return Turn(f"a_{number}", query, (), (Reference(response),), {gold: 1}, query, topic, {"answerable": answerable})

    talk = conversation(
        "a",
        asked(1, "How does a sea-otter sleep?", "p1", "on their backs", "Sea otter"),
        asked(2, "And eat?", "p2", "They eat urchins.", "sea otter"),
        asked(3, "voles?", "p3", "voles DIG", "Vole"),
        asked(4, "a vole, then", "p3", "Voles dig.", "Vole", "no"),
    )
    found = findings([talk], store_of(tmp_path, passages))
    assert {check: finding.examples for check, finding in found.items()} == {
        "previous-gold": ("a_4",),
        "previous-title": ("a_2", "a_4"),
        "previous-topic": ("a_2", "a_4"),
        "title-in-query": ("a_1", "a_4"),
        "response-in-gold": ("a_1", "a_3"),  # a_4 is not answerable: a copy there means nothing
        "frequent-gold": ("a_3", "a_4"),
    }
    assert all(finding.severity == "info" for finding in found.values())
    assert found["response-in-gold"].message.startswith("2 of 3 answered turns with gold text (67%)")
    assert found["frequent-gold"].message == "2 of 4 turns with gold (50.0%) have the most frequent gold passage, p3"


def test_without_a_collection_the_turns_are_checked_all_the_same() -> None:
    talk = conversation("a", turn("a_1", "q", "gone"), turn("a_2", "q", "gone"))
    found = audit([talk], qrels_of(talk.turns), None)
    assert [finding.check for finding in found] == ["repeated-queries", "previous-gold", "frequent-gold"]


def test_shortcuts_of_the_real_sample(real_data: Path, tmp_path: Path) -> None:
    """72 % of TopiOCQA's turns stay with the article of the turn before, and 24 % with a gold passage already seen."""
    dataset = open_dataset(DatasetRequest("topiocqa", real_data / "topiocqa" / "hub", split="dev"))
    store = build_store(dataset.adapter.collection().passages, tmp_path / "real", sources={})
    found = {finding.check: finding.count for finding in audit(dataset.conversations, dataset.adapter.qrels(), store)}
    assert found == {
        "repeated-queries": 2,
        "previous-gold": 322,
        "previous-title": 964,
        "previous-topic": 809,
        "title-in-query": 81,
        "response-in-gold": 602,
        "frequent-gold": 7,
        "turns-without-rewrite": 1466,
    }
