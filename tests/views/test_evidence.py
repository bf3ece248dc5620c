from __future__ import annotations

import pytest

from convbench.types import Turn
from convbench.views.evidence import EvidenceName, evidence_ids

TURN = Turn("1_1", "who keeps the lighthouse", gold={"b": 1, "c": 2, "a": 1})
RETRIEVED = ["x", "c", "y"]


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("retrieved", 2, ("x", "c")),
        ("retrieved", 9, ("x", "c", "y")),
        ("retrieved", 0, ()),
        ("gold", 9, ("c", "a", "b")),
        ("gold", 2, ("c", "a")),
        ("none", 9, ()),
    ],
)
def test_views(name: EvidenceName, count: int, expected: tuple[str, ...]) -> None:
    assert evidence_ids(name, TURN, RETRIEVED, count) == expected


def test_gold_does_not_depend_on_the_order_of_the_judgements() -> None:
    other = Turn("1_1", "who", gold={"a": 1, "c": 2, "b": 1})
    assert evidence_ids("gold", other, [], 9) == evidence_ids("gold", TURN, RETRIEVED, 9)


def test_gold_is_empty_where_nothing_was_judged() -> None:
    assert evidence_ids("gold", Turn("1_1", "who"), RETRIEVED, 3) == ()
