from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import RunFileError
from convbench.retrieval.canonical import LARGEST, canonical, is_canonical
from convbench.types import Ranking

scores = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1.0 + 1e-9, 200.0, 200.0 + 1e-6, -3.0]),
    st.floats(min_value=-1e30, max_value=1e30, allow_nan=False),
    st.sampled_from([LARGEST, 3.4e38, 3e38, -3e38, -3.4e38]),
)
rankings = st.dictionaries(st.text(min_size=1, max_size=4), scores, max_size=30).map(lambda ranking: list(ranking.items()))


def ids(ranking: Ranking) -> list[str]:
    return [passage_id for passage_id, _ in ranking.passages]


@given(rankings)
def test_is_idempotent(passages: list[tuple[str, float]]) -> None:
    once = canonical("c_1", passages)
    assert canonical("c_1", once.passages) == once


@given(rankings)
def test_orders_by_score_then_by_id_descending(passages: list[tuple[str, float]]) -> None:
    expected = sorted(passages, key=lambda pair: (pair[1], pair[0]), reverse=True)
    assert ids(canonical("c_1", passages)) == [passage_id for passage_id, _ in expected]


@given(rankings)
def test_scores_strictly_decrease_as_32_bit_floats(passages: list[tuple[str, float]]) -> None:
    ranking = canonical("c_1", passages)
    single = np.array([score for _, score in ranking.passages], dtype=np.float32)
    assert np.all(single[1:] < single[:-1])
    assert is_canonical(ranking)


@given(rankings)
def test_a_score_only_ever_goes_down_and_stays_where_nothing_ties(passages: list[tuple[str, float]]) -> None:
    given_scores = dict(passages)
    lowered = canonical("c_1", passages).passages
    assert all(score <= given_scores[passage_id] for passage_id, score in lowered)
    singles = {float(np.float32(score)) for score in given_scores.values()}
    if len(singles) == len(given_scores):
        assert dict(lowered) == given_scores


def step_by_step(ordered: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The rule as it is stated: a score that is not below the one before is the next 32-bit number below that."""
    result, previous = [], np.float32(np.inf)
    for passage_id, score in ordered:
        single = np.float32(score)
        if single >= previous:
            single = np.nextafter(previous, np.float32(-np.inf))
            score = float(single)
        result.append((passage_id, score))
        previous = single
    return result


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from([2**53, 2**53 + 1, 7, 7.0, 1.5]), max_size=12))
def test_numbers_that_no_float_tells_apart_are_in_order(ranking: dict[str, float]) -> None:
    expected = sorted(ranking.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
    assert ids(canonical("c_1", ranking.items())) == [passage_id for passage_id, _ in expected]


few_scores = st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 1e-40, 1.0, 1.0 + 1e-9, 1.0 + 2e-7, -3.0, -3.0 - 1e-8, 200.0, LARGEST])


@given(st.dictionaries(st.text(min_size=1, max_size=3), few_scores | st.floats(-1e-44, 1e-44), max_size=40))
def test_scores_are_lowered_as_if_one_by_one(ranking: dict[str, float]) -> None:
    ordered = sorted(ranking.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
    lowered = canonical("c_1", ranking.items()).passages
    assert [(id_, repr(score)) for id_, score in lowered] == [(id_, repr(score)) for id_, score in step_by_step(ordered)]


@given(rankings, st.randoms())
def test_the_order_of_the_input_does_not_matter(passages: list[tuple[str, float]], random) -> None:
    shuffled = list(passages)
    random.shuffle(shuffled)
    assert canonical("c_1", shuffled) == canonical("c_1", passages)


@given(rankings, st.integers(min_value=0, max_value=40))
def test_depth_keeps_the_best(passages: list[tuple[str, float]], depth: int) -> None:
    assert canonical("c_1", passages, depth).passages == canonical("c_1", passages).passages[:depth]


def test_both_zeros_keep_their_sign() -> None:
    ranking = canonical("c_1", [("a", 0.0), ("b", -0.0), ("c", 1.0)])
    assert [(id_, repr(score)) for id_, score in ranking.passages][:2] == [("c", "1.0"), ("b", "-0.0")]


def test_ties_as_32_bit_floats_are_told_apart() -> None:
    ranking = canonical("c_1", [("a", 200.0), ("b", 200.0 + 1e-6)])
    assert ids(ranking) == ["b", "a"]
    assert np.float32(ranking.passages[0][1]) > np.float32(ranking.passages[1][1])


def test_a_lowered_score_pushes_those_below_it_down() -> None:
    next_below = float(np.nextafter(np.float32(1.0), np.float32(0.0)))
    ranking = canonical("c_1", [("c", 1.0), ("b", 1.0), ("a", next_below)])
    assert ids(ranking) == ["c", "b", "a"]
    assert is_canonical(ranking)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, 1e39, -3.5e38])
def test_scores_that_are_no_finite_32_bit_number_are_refused(score: float) -> None:
    with pytest.raises(RunFileError, match=r"turn c_1: passage 'b' has the score .*; expected a finite 32-bit number"):
        canonical("c_1", [("a", 1.0), ("b", score)])


def test_ties_are_told_apart_down_to_the_lowest_number_and_no_further() -> None:
    lowest = float(np.nextafter(np.float32(-LARGEST), np.float32(0)))
    ranking = canonical("c_1", [("b", lowest), ("a", lowest)])
    assert ranking.passages == (("b", lowest), ("a", -LARGEST))
    assert canonical("c_1", ranking.passages) == ranking
    for passages in ([("c", lowest), ("b", lowest), ("a", lowest)], [("b", -LARGEST), ("a", -LARGEST)]):
        with pytest.raises(RunFileError, match=r"turn c_1: passage 'a' ties at -3.*e\+38 and cannot be lowered: no 32-bit number is left"):
            canonical("c_1", passages)
    assert canonical("c_1", [("b", -LARGEST), ("a", -LARGEST)], depth=1).passages == (("b", -LARGEST),)


def test_a_passage_that_appears_twice_is_refused() -> None:
    with pytest.raises(RunFileError, match="turn c_1: a passage appears twice"):
        canonical("c_1", [("a", 1.0), ("b", 0.5), ("a", 0.2)])


@pytest.mark.parametrize(
    "passages",
    [
        (("a", 1.0), ("b", 1.0)),
        (("a", 1.0), ("b", 2.0)),
        (("a", 200.0 + 1e-6), ("b", 200.0)),
        (("a", 2.0), ("a", 1.0)),
        (("a", math.nan),),
    ],
)
def test_what_is_not_canonical_is_seen(passages: tuple[tuple[str, float], ...]) -> None:
    assert not is_canonical(Ranking("c_1", passages))


def test_an_empty_ranking_is_canonical() -> None:
    assert canonical("c_1", []) == Ranking("c_1", ())
    assert is_canonical(Ranking("c_1", ()))
