from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from convbench.analysis.outcomes import OUTCOMES, clearest, hits, joint, outcome_shares, outcomes, parted

NAN, FAR = np.nan, np.inf


def column(*values: float) -> NDArray[np.float64]:
    return np.array(values)[:, None]


def test_a_hit_is_gold_among_the_first_k() -> None:
    np.testing.assert_array_equal(hits(column(1, 3, 4, FAR, NAN), 3), column(1, 1, 0, 0, NAN))


def test_the_four_outcomes() -> None:
    found = outcomes(column(1, 1, 0, 0, NAN, 1), column(0.5, 0.49, 0.9, 0.0, 1.0, NAN), 0.5)
    assert found.ravel().tolist() == [0, 1, 2, 3, -1, -1]


def test_shares_are_means_over_the_turns_of_the_table() -> None:
    places = np.array([[0, 3], [0, -1], [2, 3], [-1, 1]])
    means = np.nanmean(outcome_shares(places), axis=0)
    assert means.tolist() == [2 / 3, 0, 1 / 3, 0, 0, 1 / 3, 0, 2 / 3]


def test_turns_are_parted_by_hit() -> None:
    given_hit, given_miss = parted(column(1, 0, NAN, 1), column(0.1, 0.2, 0.3, NAN))
    np.testing.assert_array_equal(given_hit, column(0.1, NAN, NAN, NAN))
    np.testing.assert_array_equal(given_miss, column(NAN, 0.2, NAN, NAN))


def test_joint_is_the_value_of_a_hit_and_0_of_a_miss() -> None:
    np.testing.assert_array_equal(joint(column(1, 0, NAN, 1), column(0.1, 0.2, 0.3, NAN)), column(0.1, 0.0, NAN, NAN))


def test_the_clearest_examples_come_first() -> None:
    turns = [  # outcome, rank, value
        (1, 2, 0.0),
        (1, 1, 0.3),
        (1, 1, 0.1),
        (1, 1, 0.1),
        (2, 9, 1.0),
        (2, FAR, 0.6),
        (2, FAR, 0.8),
        (0, 2, 1.0),
        (0, 1, 0.7),
        (0, 1, 0.9),
        (3, 40, 0.0),
        (3, FAR, 0.2),
        (3, FAR, 0.1),
        (-1, 1, NAN),
    ]
    places, ranks, values = (np.array(part) for part in zip(*turns, strict=True))
    assert clearest(places, ranks, values, 5) == ((9, 8, 7), (2, 3, 1, 0), (6, 5, 4), (12, 11, 10))
    assert clearest(places, ranks, values, 1) == ((9,), (2,), (6,), (12,))


ranks = st.one_of(st.integers(1, 100).map(float), st.just(FAR), st.just(NAN))
unit = st.one_of(st.floats(0, 1), st.just(NAN))


@given(st.lists(st.tuples(ranks, unit), max_size=30), st.integers(1, 20), st.floats(0, 1))
def test_the_four_outcomes_sum_to_the_judged_turns(turns: list[tuple[float, float]], depth: int, good: float) -> None:
    rank, value = column(*(rank for rank, _ in turns)), column(*(value for _, value in turns))
    places = outcomes(hits(rank, depth), value, good)
    judged = int((~np.isnan(rank) & ~np.isnan(value)).sum())
    assert sum(int((places == place).sum()) for place in range(len(OUTCOMES))) == judged
    assert np.nansum(outcome_shares(places)) == judged
    shown = clearest(places[:, 0], rank[:, 0], value[:, 0], len(turns))
    assert sorted(turn for some in shown for turn in some) == np.flatnonzero(places[:, 0] >= 0).tolist()


@given(st.lists(st.tuples(ranks, unit), max_size=30), st.integers(1, 20))
def test_the_joint_score_of_a_unit_measure_is_at_most_the_value(turns: list[tuple[float, float]], depth: int) -> None:
    rank, value = column(*(rank for rank, _ in turns)), column(*(value for _, value in turns))
    scored = joint(hits(rank, depth), value)
    present = ~np.isnan(scored)
    assert (scored[present] <= value[present]).all()
    assert scored[present].sum() <= value[present].sum()
