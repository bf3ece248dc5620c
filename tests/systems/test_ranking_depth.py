from __future__ import annotations

import random

import pytest

from convbench.systems.stages import ranked_ids
from convbench.types import Turn
from convbench.views.evidence import EVIDENCE_LADDER, EvidenceCondition, EvidenceName

CHANCE = random.Random(8)
IDS = [f"p{n}" for n in range(12)]
TURNS = [
    Turn(f"c{n}_1", "q", gold=dict.fromkeys(CHANCE.sample([*IDS, f"x{n}"], CHANCE.randrange(1, 6)), 1) | {f"own{n}": 1}) for n in range(60)
]


@pytest.mark.parametrize("name", EVIDENCE_LADDER)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_condition_looks_deeper_into_a_ranking_than_its_passages_and_the_gold_ones(name: EvidenceName, count: int) -> None:
    condition = EvidenceCondition(name, count)
    condition.check(TURNS)
    for turn in TURNS:
        ranking = CHANCE.sample(IDS, CHANCE.randrange(13))
        upstream = {"search": {turn.id: {"turn_id": turn.id, "passages": [[passage_id, 1.0] for passage_id in ranking]}}}
        first = ranked_ids(turn, upstream, count + len(turn.gold))
        assert first == ranking[: count + len(turn.gold)]
        assert condition.view(turn, first) == condition.view(turn, ranking)


def test_a_turn_that_was_not_searched_for() -> None:
    assert ranked_ids(TURNS[0], {}, 3) == []
    assert ranked_ids(TURNS[0], {"search": {}}, 3) == []
