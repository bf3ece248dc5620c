from __future__ import annotations

import json
from pathlib import Path

import pytest

from convbench.datasets.comparable import store_at_hand
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.selection import HoldOut, Selection
from convbench.io.cache import cache_root
from convbench.training.data.contamination import Contamination, as_json, contamination
from convbench.training.data.mixture import SourceSpec
from convbench.training.data.sources import Source, open_source
from convbench.training.data.threads import threads_of
from convbench.types import Conversation, Exchange, Turn

RULE = HoldOut(count=40, salt="dev")


def opened(folder: Path = Path(), **keys: object) -> Source:
    return open_source(SourceSpec.model_validate({"name": "s", "objectives": ["response"], **keys}), folder, cache_root())


def checks(found: list[Contamination]) -> dict[str, tuple[str, int, int]]:
    return {finding.check: (finding.severity, finding.count, finding.of) for finding in found}


def written(folder: Path, name: str, *talks: list[str]) -> Path:
    """A folder in convbench's own layout: conversations of users' questions; every turn has a response of its own."""
    (folder / name).mkdir()
    rows = [
        {"conversation_id": str(index), "turns": [{"query": text, "response": f"{name} {text}"} for text in talk]}
        for index, talk in enumerate(talks, 1)
    ]
    (folder / name / "conversations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def own(data: Path) -> Dataset:
    return open_dataset(DatasetRequest("generic", data))


TALK = ["What is a sea otter?", "How do they sleep at night?", "And what do they eat then?"]


def test_training_on_the_evaluation_set_is_found_by_id_and_by_text() -> None:
    request = DatasetRequest("topiocqa")
    dataset = open_dataset(request)
    source = opened(dataset="topiocqa", objectives=["retrieval", "response"])
    found = contamination([source], dataset, store_at_hand(dataset, cache_root()))
    assert checks(found) == {
        "same-conversations": ("error", 9, 9),
        "same-question-threads": ("error", 9, 9),
        "same-first-questions": ("warning", 9, 9),
        "same-responses": ("warning", 56, 56),
        "same-rewrites": ("warning", 56, 56),
        "same-questions": checks(found)["same-questions"],
        "same-passages": ("info", 50, 50),
        "same-topics": checks(found)["same-topics"],
    }
    assert [finding.severity for finding in found] == sorted((f.severity for f in found), key=["error", "warning", "info"].index)
    assert json.loads(json.dumps(as_json(found)))[0] == {
        "source": "s",
        "check": "same-conversations",
        "severity": "error",
        "count": 9,
        "of": 9,
        "message": "9 of 9 conversations are trained on: they have the same ids and questions",
        "examples": ["1", "2", "3", "4", "5"],
    }


def test_a_hold_out_rule_on_both_sides_is_clean() -> None:
    rule = {"count": 3, "salt": "x"}
    source = opened(dataset="topiocqa", objectives=["retrieval", "response"], conversations={"hold_out": rule})
    held = open_dataset(DatasetRequest("topiocqa", conversations=Selection.model_validate({"hold_out": rule, "part": "held-out"})))
    found = contamination([source], held, store_at_hand(held, cache_root()))
    assert [finding for finding in found if finding.severity == "error"] == []


@pytest.mark.parametrize("other", ["qrecc", "topiocqa", "inscit", "faithdial"])
def test_bundled_sets_share_nothing_that_counts(other: str) -> None:
    found = contamination([opened(dataset="orquac")], open_dataset(DatasetRequest(other)))
    assert [finding for finding in found if finding.severity != "info"] == []  # neither is made of QuAC, whatever its name


def test_a_taken_over_conversation_is_known_by_its_questions(tmp_path: Path) -> None:
    evaluation = own(written(tmp_path, "evaluation", ["Who is she?", "Why?"], TALK))
    rewritten = ["Tell me of otters.", TALK[1].upper(), "and what do they eat, then"]
    source = opened(dataset="generic", data=written(tmp_path, "training", rewritten))
    (finding,) = [finding for finding in contamination([source], evaluation) if finding.severity == "error"]
    assert (finding.check, finding.count, finding.of, finding.examples) == ("same-question-threads", 1, 2, ("1_3 = 2_3",))


def test_chat_and_pairs_are_looked_through_too(tmp_path: Path) -> None:
    evaluation = own(written(tmp_path, "evaluation", TALK))
    said = [{"role": role, "content": text} for question in TALK for role, text in (("user", question), ("assistant", "Well."))]
    (tmp_path / "chat.jsonl").write_text(json.dumps({"messages": said}))
    assert checks(contamination([opened(tmp_path, file="chat.jsonl", format="chat")], evaluation))["same-question-threads"] == (
        "error",
        1,
        1,
    )
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"query": "what is a sea otter", "positive": "An animal."}))
    pairs = opened(tmp_path, file="pairs.jsonl", format="pairs", objectives=["retrieval"])
    assert checks(contamination([pairs], evaluation)) == {"same-first-questions": ("warning", 1, 1), "same-questions": ("info", 1, 3)}


def test_equal_ids_mean_something_only_with_equal_questions_in_one_numbering(tmp_path: Path) -> None:
    data = written(tmp_path, "one", TALK)
    again = written(tmp_path, "two", ["Who was Ada Lovelace then?", "When did she live?"])
    for folder in (data, again):
        (folder / "dataset.yaml").write_text("name: talks\n")
    found = checks(contamination([opened(dataset="generic", data=again)], own(data)))
    assert found == {"same-ids-other-texts": ("info", 1, 1)}
    (again / "dataset.yaml").write_text("name: others\n")
    assert contamination([opened(dataset="generic", data=again)], own(data)) == []


def test_only_what_is_used_counts(tmp_path: Path) -> None:
    data = written(tmp_path, "own", ["Who was Ada Lovelace then?", "When did she live?"], TALK)
    assert checks(contamination([opened(dataset="generic", data=data, limit=1)], own(data)))["same-conversations"] == ("error", 1, 2)


def test_short_threads_are_no_sign() -> None:
    def talk(*asked: str) -> Conversation:
        exchanges = tuple(Exchange(f"c_{n}", text) for n, text in enumerate(asked, 1))
        return Conversation("c", "d", "s", tuple(Turn(f"c_{n + 1}", text, exchanges[:n]) for n, text in enumerate(asked)))

    assert threads_of([talk("where was he born?", "who were his parents?")]) == {}
    assert threads_of([talk("a very long first question that would be enough alone")]) == {}
    assert threads_of([talk("x", "where was he born?", "who were his dear old parents?")]) == {
        "x\nwhere was he born\nwho were his dear old parents": "c_3",
        "where was he born\nwho were his dear old parents": "c_3",
    }


class TestRealSamples:
    def test_quac_within_qrecc_is_found_under_other_numbers(self, real_data: Path) -> None:
        qrecc = opened(name="qrecc", dataset="qrecc", data=real_data / "qrecc", split="dev")
        canard = open_dataset(DatasetRequest("orquac", real_data / "orquac" / "canard" / "dev.json", split="dev"))
        found = contamination([qrecc], canard)
        assert checks(found) == {
            "same-question-threads": ("error", 15, 200),
            "same-first-questions": ("warning", 6, 191),
            "same-rewrites": ("warning", 10, 1415),
            "shared-origin": ("warning", 0, 200),
            "same-questions": ("info", 54, 1243),
        }
        for example in found[0].examples:
            ours, theirs = example.split(" = ")
            assert ours.rpartition("_")[2] == theirs.rpartition("_")[2]
        assert "quac" in next(finding.message for finding in found if finding.check == "shared-origin")

    def test_the_table_warns_where_texts_say_nothing(self, real_data: Path) -> None:
        canard = opened(name="canard", dataset="orquac", data=real_data / "orquac" / "canard" / "dev.json", split="dev")
        qrecc = open_dataset(DatasetRequest("qrecc", real_data / "qrecc", split="test"))
        assert checks(contamination([canard], qrecc)) == {"shared-origin": ("warning", 0, 9)}

    def test_splits_of_one_dataset_are_not_one_another(self, real_data: Path) -> None:
        dev = opened(name="dev", dataset="qrecc", data=real_data / "qrecc", split="dev")
        test = open_dataset(DatasetRequest("qrecc", real_data / "qrecc", split="test"))
        assert [finding.severity for finding in contamination([dev], test)] == ["info"]

    def test_declared_origins_of_files(self, real_data: Path, tmp_path: Path) -> None:
        (tmp_path / "pairs.jsonl").write_text(json.dumps({"query": "an unheard-of question", "positive": "x"}))
        keys = {"file": "pairs.jsonl", "format": "pairs", "objectives": ["retrieval"]}
        pairs = opened(tmp_path, **keys, derived_from=["natural-questions", "ms-marco"])
        qrecc = open_dataset(DatasetRequest("qrecc", real_data / "qrecc", split="test"))
        assert checks(contamination([pairs], qrecc)) == {"shared-origin": ("info", 0, 9)}
        assert contamination([opened(tmp_path, **keys)], qrecc) == []

    def test_held_out_conversations_of_the_sample(self, real_data: Path) -> None:
        data, corpus = real_data / "topiocqa" / "hub", real_data / "topiocqa" / "corpus" / "full_wiki_segments.sample.tsv"
        selection = Selection(hold_out=RULE)
        source = opened(
            dataset="topiocqa", data=data, corpus=corpus, split="dev", objectives=["retrieval", "response"], conversations=selection
        )
        rule = Selection(hold_out=RULE, part="held-out")
        held = open_dataset(DatasetRequest("topiocqa", data, "dev", corpus, conversations=rule))
        assert (len(source.material.conversations), len(held.conversations)) == (80, 40)
        found = contamination([source], held, store_at_hand(held, cache_root()))
        assert {finding.severity for finding in found} == {"info"}
        assert checks(found)["same-passages"] == ("info", 1, 411)
