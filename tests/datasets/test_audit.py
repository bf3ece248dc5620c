from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from convbench.datasets import hash_sort
from convbench.datasets.audit import Finding, audit
from convbench.datasets.corpora import tsv_passages
from convbench.datasets.store import ArrowPassageStore
from convbench.datasets.store_build import build_store
from convbench.types import Conversation, Passage, Reference, Turn, qrels_of

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
