from __future__ import annotations

from typing import Any

import pytest

from convbench.datasets.origins import known_name
from convbench.leaderboard.card import Card
from convbench.leaderboard.contamination import Answer, Contamination, TestSet, contamination

ORQUAC = TestSet("orquac", "test")
TOPIOCQA = TestSet("topiocqa", "dev")
QRECC = TestSet("qrecc", "test", ("quac", "trec-cast-2019"))


def judged(test: TestSet, *training: dict[str, Any], **card: Any) -> Contamination:
    values = {"id": "a", "track": "t", "name": "A", "kind": "unified", "submitted": "2026-01-02", "training": training, **card}
    return contamination(Card.model_validate(values), test)


def checks(found: Contamination) -> list[str]:
    return [finding.check for finding in found.findings if finding.severity == "flag"]


@pytest.mark.parametrize(
    ("test", "source", "split", "answer"),
    [
        (ORQUAC, "qrecc", "train", "yes"),  # QReCC holds QuAC's conversations, of which OR-QuAC is made
        (ORQUAC, "QReCC", None, "yes"),
        (ORQUAC, "QuAC", "train", "yes"),
        (ORQUAC, "CANARD", None, "yes"),
        (ORQUAC, "OR-QuAC", "train", "no"),
        (ORQUAC, "OR-QuAC", "test", "yes"),
        (ORQUAC, "OR-QuAC", None, "unknown"),
        (ORQUAC, "topiocqa", "train", "no"),
        (ORQUAC, "MS MARCO", None, "no"),
        (QRECC, "orquac", "train", "yes"),
        (QRECC, "trec cast 2019", None, "yes"),
        (QRECC, "qrecc", "train", "no"),
        (TestSet("cast", "2019"), "qrecc", "test", "yes"),
        (TestSet("cast", "2019"), "qrecc", "train", "no"),
        (TestSet("cast", "2019"), "qrecc", None, "unknown"),
        (TestSet("faithdial", "test"), "Wizard of Wikipedia", None, "yes"),
        (TOPIOCQA, "topiocqa", "train", "no"),
        (TOPIOCQA, "TopiOCQA", "validation", "yes"),
        (TOPIOCQA, "topiocqa", "train+dev", "yes"),
        (TOPIOCQA, "natural-questions", None, "no"),
        (TOPIOCQA, "our own chats", None, "unknown"),
        (TestSet("orquac", "mini"), "qrecc", "train", "no"),
        (TestSet("orquac", "mini"), "orquac", None, "no"),
        (TestSet("orquac", "mini"), "orquac", "mini", "yes"),
    ],
)
def test_what_is_known_of_sources_decides(test: TestSet, source: str, split: str | None, answer: Answer) -> None:
    assert judged(test, {"source": source, "split": split}).answer == answer


@pytest.mark.parametrize(
    ("test", "source", "split", "answer"),
    [
        (TOPIOCQA, "McGill-NLP/TopiOCQA", "validation", "yes"),
        (TOPIOCQA, "TopiOCQA dev", None, "yes"),
        (TOPIOCQA, "topiocqa-dev", None, "yes"),
        (TOPIOCQA, "TopiOCQADev", None, "yes"),
        (TOPIOCQA, "TopiOCQA validation set", None, "yes"),
        (TOPIOCQA, "t\u043epiocqa", "dev", "yes"),
        (TOPIOCQA, "topiocqa", "d\u0435v", "yes"),
        (TOPIOCQA, "topiocqa", "train, dev", "yes"),
        (TOPIOCQA, "topiocqa", "train and validation", "yes"),
        (TOPIOCQA, "topiocqa", "all", "yes"),
        (QRECC, "allenai/quac", None, "yes"),
        (QRECC, "QuAC (val)", None, "yes"),
        (ORQUAC, "allenai/quac", "validation", "yes"),
        (ORQUAC, "apple/ml-qrecc", None, "yes"),
        (ORQUAC, "OR-QuAC train", None, "no"),
        (TOPIOCQA, "TopiOCQA training set, filtered", None, "no"),
        (TOPIOCQA, "MS MARCO passage ranking", None, "no"),
        (TOPIOCQA, "chats in the style of TopiOCQA", None, "unknown"),
        (TOPIOCQA, "chats in the style of TopiOCQA", "train", "unknown"),
        (TOPIOCQA, "topiocqa2", "train", "unknown"),
        (TOPIOCQA, "topiocqa", "half of train, and more", "unknown"),
        (TOPIOCQA, "TopiOCQA train and QReCC", None, "unknown"),
        (TOPIOCQA, "podcasts", None, "no"),
    ],
)
def test_denying_it_does_not_help_under_another_spelling(test: TestSet, source: str, split: str | None, answer: Answer) -> None:
    assert judged(test, {"source": source, "split": split, "overlap": "none"}).answer == answer


def test_who_denies_it_is_contaminated_and_marked() -> None:
    denied = judged(ORQUAC, {"source": "qrecc", "split": "train", "overlap": "none"})
    assert (denied.answer, checks(denied)) == ("yes", ["trained-on-test", "overlap-denied"])
    assert "conversations of quac" in denied.findings[0].message
    admitted = judged(ORQUAC, {"source": "qrecc", "split": "train", "overlap": "some"})
    assert (admitted.answer, checks(admitted)) == ("yes", ["trained-on-test"])


def test_who_admits_more_than_is_known_is_believed() -> None:
    for source in ("our own chats", "ms-marco"):
        found = judged(TOPIOCQA, {"source": source, "overlap": "some"})
        assert (found.answer, checks(found)) == ("yes", ["trained-on-test"])


def test_of_an_unknown_source_the_answer_counts_and_is_noted() -> None:
    found = judged(TOPIOCQA, {"source": "our own chats", "overlap": "none"})
    assert found.answer == "no"
    assert [(finding.check, finding.severity) for finding in found.findings] == [("overlap-unchecked", "note")]


def test_the_worst_source_decides() -> None:
    clean, unknown, leaked = {"source": "ms-marco"}, {"source": "our own chats"}, {"source": "quac"}
    assert judged(ORQUAC, clean, unknown).answer == "unknown"
    assert judged(ORQUAC, clean, unknown, leaked).answer == "yes"
    assert judged(ORQUAC).answer == "no"


def test_shared_seed_questions_are_noted() -> None:
    (finding,) = judged(TOPIOCQA, {"source": "NQ"}).findings
    assert finding.severity == "note"
    assert "seed questions of natural-questions" in finding.message


def test_without_an_answer_only_what_has_no_weights_is_clean() -> None:
    assert judged(ORQUAC, training=None).answer == "unknown"
    assert judged(ORQUAC, training=None, parameters=0).answer == "no"
    assert judged(ORQUAC, training=None, parameters=0, checkpoints=[{"name": "x"}]).answer == "unknown"
    assert judged(ORQUAC, training=None, kind="oracle").answer == "no"


def test_names_are_known_however_they_are_written() -> None:
    names = ["OR-QuAC", "ms marco", "TREC CAsT 2019", "Faith-Dial", "NQ"]
    assert [known_name(name) for name in names] == ["orquac", "ms-marco", "trec-cast-2019", "faithdial", "natural-questions"]
    assert known_name("quack") is None
