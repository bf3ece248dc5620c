from __future__ import annotations

import pytest

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.rewriting.base import HumanRewriter, NoRewriter, QueryRewriter, RewriteInput
from convbench.types import Turn

TURNS = [
    Turn("1_1", "who keeps the lighthouse", rewrite="who keeps the Dune lighthouse"),
    Turn("1_2", "since when", rewrite=""),
    *[Turn(f"1_{n}", "and then") for n in (3, 4, 5)],
]


def questions(rewriter: QueryRewriter, turns: list[Turn]) -> list[str]:
    return [rewrite.question for rewrite in rewriter.rewrite([RewriteInput(turn) for turn in turns], Meter())]


@pytest.mark.parametrize("rewriter", [NoRewriter(), HumanRewriter()])
def test_they_keep_the_protocol(rewriter: QueryRewriter) -> None:
    assert isinstance(rewriter, QueryRewriter)
    assert rewriter.rewrite([], Meter()) == []
    rewriter.check([])


def test_they_are_told_apart() -> None:
    assert NoRewriter().describe() != HumanRewriter().describe()


def test_no_rewriter_leaves_the_question() -> None:
    NoRewriter().check(TURNS)
    assert questions(NoRewriter(), TURNS[:2]) == ["who keeps the lighthouse", "since when"]


def test_human_rewrites_in_order() -> None:
    turns = [TURNS[0], Turn("2_1", "where", rewrite="where is the Dune lighthouse")]
    HumanRewriter().check(turns)
    assert questions(HumanRewriter(), turns) == ["who keeps the Dune lighthouse", "where is the Dune lighthouse"]


def test_missing_and_empty_rewrites_are_counted_and_named() -> None:
    message = (
        r"^4 of 5 turns have no human rewrite \(first: 1_2, 1_3, 1_4\); give them with --rewrites FILE \(lines of \{turn_id, rewrite\}\)$"
    )
    with pytest.raises(UsageError, match=message):
        HumanRewriter().check(TURNS)
