"""The bundled sets keep what they promise."""

from __future__ import annotations

import pytest

from convbench.datasets.loading import DatasetRequest, open_dataset

NAMES = ["topiocqa", "qrecc", "orquac", "inscit", "faithdial"]


@pytest.fixture(scope="module", params=NAMES)
def mini(request):
    return open_dataset(DatasetRequest(request.param))


def test_size(mini):
    assert len(mini.conversations) >= 8
    assert all(4 <= len(conversation.turns) <= 7 for conversation in mini.conversations)
    passages = list(mini.adapter.collection().passages())
    assert 58 <= len(passages) <= 75
    assert len({passage.id for passage in passages}) == len(passages)
    assert len({passage.text for passage in passages}) == len(passages)


def test_every_turn_has_a_rewrite_and_ids_are_contiguous(mini):
    for conversation in mini.conversations:
        assert [turn.number for turn in conversation.turns] == list(range(1, len(conversation.turns) + 1))
        assert all(turn.rewrite and turn.query for turn in conversation.turns)
        assert all(turn.conversation_id == conversation.id for turn in conversation.turns)


def test_gold_passages_exist_and_leave_distractors(mini):
    ids = {passage.id for passage in mini.adapter.collection().passages()}
    gold = {passage_id for turn in mini.turns for passage_id in turn.gold}
    assert gold <= ids
    if mini.name != "faithdial":  # its pool is made of the knowledge of its turns
        assert len(ids - gold) >= 10


def test_history_is_the_conversation_so_far(mini):
    for conversation in mini.conversations:
        for turn in conversation.turns:
            earlier = {other.id: other for other in conversation.turns[: turn.number - 1]}
            shown = [exchange for exchange in turn.history if exchange.turn_id in earlier]
            assert [exchange.turn_id for exchange in shown] == list(earlier)
            assert all(exchange.rewrite == earlier[exchange.turn_id].rewrite for exchange in shown)


def test_there_are_contextual_questions_and_turns_without_an_answer(mini):
    rewritten = sum(turn.rewrite != turn.query for turn in mini.turns)
    assert rewritten >= len(mini.turns) / 2
    if mini.name != "faithdial":  # it has no such label
        assert sum(turn.labels["answerable"] == "no" for turn in mini.turns) >= 5


def test_several_references_where_the_format_has_them(mini):
    several = sum(sum(reference.kind != "knowledge" for reference in turn.references) > 1 for turn in mini.turns)
    if mini.name in ("topiocqa", "orquac", "inscit"):
        assert several >= 8
