from __future__ import annotations

import json
from pathlib import Path

import pytest

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.io.cache import cache_root
from convbench.training.data.examples import passage_key
from convbench.training.data.mixture import Mixture, SourceSpec
from convbench.training.data.sources import Source, check_fed, open_mixture, open_source
from convbench.types import Passage

ALL = ["retrieval", "response", "identification"]


def opened(folder: Path, **keys: object) -> Source:
    return open_source(SourceSpec.model_validate({"name": "s", "objectives": ALL, **keys}), folder, cache_root())


def own_dataset(folder: Path) -> Path:
    turns = [
        {"query": "Who?", "response": "Ada.", "gold": {"p1": 1, "p2": 2, "gone": 3}, "rewrite": "Who wrote it?"},
        {"query": "When?", "response": "1843.", "gold": {}},
        {"query": "Where?", "response": "", "gold": ["p3"]},
        {"query": "Why?", "response": "", "gold": ["blank"]},
    ]
    (folder / "conversations.jsonl").write_text(json.dumps({"conversation_id": "c", "turns": turns}))
    passages = [
        {"id": "p1", "text": "one"},
        {"id": "p2", "text": "two", "title": "T"},
        {"id": "p3", "text": "three"},
        {"id": "blank", "text": " "},
    ]
    (folder / "collection.jsonl").write_text("".join(json.dumps(passage) + "\n" for passage in passages))
    return folder


@pytest.mark.parametrize("name", ["topiocqa", "qrecc", "orquac", "inscit", "faithdial"])
def test_every_mini_set_gives_triples_with_the_texts_of_its_collection(name: str) -> None:
    source = opened(Path(), dataset=name)
    dataset = open_dataset(DatasetRequest(name))
    turns = {f"s/{turn.id}": turn for turn in dataset.turns}
    texts = {passage.id: passage.text for passage in dataset.adapter.collection().passages()}
    assert source.feeds["retrieval"] == sum(bool(turn.gold) for turn in dataset.turns)
    assert [example.turn for example in source.examples] == [turns[example.id] for example in source.examples]
    for example in source.examples:
        turn = turns[example.id]
        assert {passage.id for passage in example.gold} == set(turn.gold)
        assert all(passage.text == texts[passage.id] for passage in example.gold)
        assert ("retrieval" in example.objectives) == bool(turn.gold)
        assert example.response == next((r.text for r in turn.references if r.kind == "response"), None)
        assert example.conversation == f"s/{turn.conversation_id}"
    assert json.loads(json.dumps(source.as_json()))["feeds"] == source.feeds


def test_best_grade_first_and_each_turn_feeds_what_it_can(tmp_path: Path) -> None:
    source = opened(tmp_path, dataset="generic", data=own_dataset(tmp_path))
    first, second, third = source.examples
    assert [passage.id for passage in first.gold] == ["p2", "p1"]  # "gone" is graded best and has no text
    assert first.positive == Passage("p2", "two", "T")
    assert first.gold_keys == {passage_key(Passage("x", "Two!")), passage_key(Passage("x", "one"))}
    assert [sorted(example.objectives) for example in (first, second, third)] == [sorted(ALL), ["response"], ["retrieval"]]
    assert second.positive is None
    assert third.response is None
    assert third.turn.history[1].response == "1843."
    assert source.feeds == {"retrieval": 2, "response": 2, "identification": 1}
    assert source.material.notes == ("the gold passages of 1 turns are not in the collection", "1 turns feed no objective")


def test_one_text_as_both(tmp_path: Path) -> None:
    folder = own_dataset(tmp_path)
    as_passage = opened(tmp_path, dataset="generic", data=folder, passage="response")
    assert [(e.id, e.response, [p.text for p in e.gold]) for e in as_passage.examples] == [
        ("s/c_1", "Ada.", ["Ada."]),
        ("s/c_2", "1843.", ["1843."]),
    ]
    as_response = opened(tmp_path, dataset="generic", data=folder, response="passage")
    assert [(e.id, e.response, e.gold[0].text) for e in as_response.examples] == [("s/c_1", "two", "two"), ("s/c_3", "three", "three")]
    assert as_response.feeds == {"retrieval": 2, "response": 2, "identification": 2}


def test_history_rewrite_takes_only_turns_that_have_one(tmp_path: Path) -> None:
    source = opened(tmp_path, dataset="generic", data=own_dataset(tmp_path), history="rewrite")
    assert [(example.id, example.history) for example in source.examples] == [("s/c_1", "rewrite")]


def test_without_passages_retrieval_is_refused_and_response_is_not(tmp_path: Path) -> None:
    own_dataset(tmp_path)
    (tmp_path / "collection.jsonl").unlink()
    with pytest.raises(MissingFileError, match=r"source s \(retrieval, response\) needs passages: .*no passages here"):
        opened(tmp_path, dataset="generic", data=tmp_path, objectives=["retrieval", "response"])
    source = opened(tmp_path, dataset="generic", data=tmp_path, objectives=["response"])
    assert source.feeds == {"response": 2}
    assert source.as_json()["data"]["collection"] is None
    assert opened(tmp_path, dataset="generic", data=tmp_path, passage="response").feeds["retrieval"] == 2


def test_a_collection_of_something_else_and_no_judgements_are_told_apart(tmp_path: Path) -> None:
    own_dataset(tmp_path)
    (tmp_path / "collection.jsonl").write_text('{"id": "other", "text": "x"}\n')
    with pytest.raises(MissingFileError, match="its collection holds none of the gold passages"):
        opened(tmp_path, dataset="generic", data=tmp_path)
    (tmp_path / "conversations.jsonl").write_text('{"conversation_id": "c", "turn": 1, "query": "Who?", "response": "Ada."}\n')
    with pytest.raises(MissingFileError, match="none of its 1 turns has a gold passage"):
        opened(tmp_path, dataset="generic", data=tmp_path)


def test_an_objective_that_nothing_feeds_is_named(tmp_path: Path) -> None:
    (tmp_path / "conversations.jsonl").write_text('{"conversation_id": "c", "turn": 1, "query": "Who?", "gold": ["p"]}\n')
    (tmp_path / "collection.jsonl").write_text('{"id": "p", "text": "x"}\n')
    assert opened(tmp_path, dataset="generic", data=tmp_path, objectives=["retrieval"]).feeds == {"retrieval": 1}
    with pytest.raises(UsageError, match="source s: feeds response, but no turn has a response"):
        opened(tmp_path, dataset="generic", data=tmp_path)


def test_hold_out_comes_before_the_limit_and_parts_never_meet(tmp_path: Path) -> None:
    rule = {"count": 3, "salt": "x"}
    kept = opened(tmp_path, dataset="topiocqa", conversations={"hold_out": rule})
    held = opened(tmp_path, dataset="topiocqa", conversations={"hold_out": rule, "part": "held-out"})
    short = opened(tmp_path, dataset="topiocqa", conversations={"hold_out": rule}, limit=2)
    ids = [{example.conversation for example in source.examples} for source in (kept, held, short)]
    assert [len(each) for each in ids] == [6, 3, 2]
    assert not ids[0] & ids[1]
    assert ids[2] < ids[0]
    assert kept.as_json()["selection"] == "kept part; 3 conversations held out: the first by sha256 of 'x:<conversation id>'"
    assert kept.as_json()["data"]["turns"] != held.as_json()["data"]["turns"]
    with pytest.raises(UsageError, match="source s: nothing is left of 9 conversations: kept part; 9 conversations held out"):
        opened(tmp_path, dataset="topiocqa", conversations={"hold_out": {"count": 9, "salt": "x"}})


def test_sources_without_weight_are_not_opened_and_paths_begin_at_the_folder(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"query": "q", "positive": "p"}\n')
    keys = {"file": "pairs.jsonl", "format": "pairs", "objectives": ["retrieval"]}
    mixture = Mixture.model_validate({"sources": [{"name": "a", **keys}, {"name": "b", **keys, "file": "absent.jsonl", "weight": 0}]})
    assert [source.spec.name for source in open_mixture(mixture, tmp_path, cache_root())] == ["a"]
    with pytest.raises(MissingFileError, match=r"pairs\.jsonl: no such file"):
        open_mixture(mixture, tmp_path / "elsewhere", cache_root())
    with pytest.raises(DataError, match="mixture: the mixture is empty"):
        open_mixture(Mixture(sources=[]), tmp_path, cache_root())


def test_sources_and_loss_weights_must_want_the_same() -> None:
    sources = [opened(Path(), dataset="topiocqa", objectives=["retrieval"])]
    check_fed(sources, {"retrieval": 1})
    with pytest.raises(UsageError, match="every objective has weight 0"):
        check_fed(sources, {"retrieval": 0})
    with pytest.raises(UsageError, match=r"response has weight 0\.3, and no source feeds it \(sources: s\)"):
        check_fed(sources, {"retrieval": 1, "response": 0.3})
    with pytest.raises(UsageError, match="source s feeds only retrieval, which has weight 0"):
        check_fed([*sources, opened(Path(), name="t", dataset="qrecc", objectives=["response"])], {"response": 1})
