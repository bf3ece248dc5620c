from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import ConvbenchError, InvariantError
from convbench.metrics.invariants import check_aggregate, check_counts, check_scale, check_turn
from convbench.metrics.retrieval import RetrievalMetric
from convbench.types import Turn, TurnRecord

RIGHT = {
    "P@1": 0.0,
    "Success@1": 0.0,
    "RR@1": 0.0,
    "RR@10": 0.5,
    "RR@100": 0.5,
    "R@10": 1.0,
    "R@100": 1.0,
    "nDCG@1": 0.0,
    "nDCG@3": 1 / math.log2(3),
}


def check(**changed: float) -> None:
    check_turn("c_1", RIGHT | {name.replace("_at_", "@"): value for name, value in changed.items()}, 1, {"p": 1})


def test_right_numbers_pass() -> None:
    check()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"P_at_1": 1.0}, "P@1 = 1.0 and Success@1 = 0.0 and RR@1 = 0.0 differ"),
        ({"RR_at_10": 0.75}, "RR@10 = 0.75 is above RR@100 = 0.5"),
        ({"R_at_100": 0.5}, "R@10 = 1.0 is above R@100 = 0.5"),
        ({"nDCG_at_3": 0.5}, "nDCG@3 = 0.5 with the one gold passage at rank 2; expected 0.63"),
        ({"nDCG_at_1": 1.0}, "nDCG@1 = 1.0 with the one gold passage at rank 2; expected 0.0"),
        ({"R_at_10": 1.5}, "R@10 is 1.5; expected a value from 0 to 1"),
        ({"RR_at_100": math.nan}, "RR@100 is nan"),
    ],
)
def test_wrong_numbers_are_an_error(changed: dict[str, float], message: str) -> None:
    with pytest.raises(InvariantError, match=f"^c_1: .*{message}"):
        check(**changed)


def test_aggregates_scales_and_counts() -> None:
    check_aggregate("F1", 0.5, 0.5 + 1e-12, "unit")
    check_counts("F1", valued=3, left_out=2, turns=5, missing=1)
    check_scale("all turns", "length-ratio", 7.5, "any")
    for wrong in (
        lambda: check_aggregate("F1", 0.5, 0.6, "unit"),
        lambda: check_counts("F1", valued=3, left_out=1, turns=5, missing=0),
        lambda: check_counts("F1", valued=5, left_out=0, turns=5, missing=6),
        lambda: check_scale("turn c_1", "F1", 1.01, "unit"),
        lambda: check_scale("turn c_1", "F1", -0.01, "unit"),
        lambda: check_scale("turn c_1", "length-ratio", math.inf, "any"),
    ):
        with pytest.raises(InvariantError, match="these numbers cannot be right"):
            wrong()


ids = st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


@given(
    gold=st.dictionaries(ids, st.integers(1, 10_000), max_size=8),
    ranking=st.dictionaries(ids, st.sampled_from([0.0, 1.0, -1e30, 1e30, 0.1, 1 + 1e-9]) | st.floats(-1e30, 1e30), max_size=40),
    relevant_from=st.integers(1, 4),
)
def test_whatever_the_ranking_its_measures_agree(gold: dict[str, int], ranking: dict[str, float], relevant_from: int) -> None:
    """Ties, Unicode, huge grades: scoring checks every turn itself, and gives values from 0 to 1 or none."""
    measures = ["nDCG@3", "RR@100", "R@5", "MAP", "P@1", "Success@1", "RR@1", "Hits@20", "AP@7", "nDCG", "RR"]
    metric = RetrievalMetric(100, relevant_from, measures)
    scores = metric.score([Turn("c_1", "?", gold=gold)], {"c_1": TurnRecord("c_1", passages=tuple(ranking.items()))})
    assert [score.measure for score in scores] == measures
    for score in scores:
        assert (score.value is None) == (not gold)
        assert score.value is None or 0 <= score.value <= 1


def test_a_grade_that_would_fill_the_memory_is_refused() -> None:
    turn, record = Turn("c_1", "?", gold={"p": 2**31 - 1}), TurnRecord("c_1", passages=(("p", 1.0),))
    with pytest.raises(ConvbenchError, match="turn c_1: passage 'p' has the grade 2147483647; expected 10000 or less"):
        RetrievalMetric().score([turn], {"c_1": record})
