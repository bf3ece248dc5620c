from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from convbench.analysis.corrections import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(1e-6, 1) | st.sampled_from([1 / 10_001, 0.04, 0.05, 1.0]), min_size=1, max_size=40)


@given(P_VALUES)
@settings(max_examples=15, deadline=None)  # each call collects garbage, which is slow in a large process
def test_they_are_those_of_statsmodels(p_values: list[float]) -> None:
    assert np.allclose(holm(p_values), multipletests(p_values, method="holm")[1], rtol=1e-13, atol=0)
    assert np.allclose(benjamini_hochberg(p_values), multipletests(p_values, method="fdr_bh")[1], rtol=1e-13, atol=0)


@given(P_VALUES)
def test_they_only_raise_p_and_keep_the_order(p_values: list[float]) -> None:
    given_p = np.array(p_values)
    order = np.argsort(given_p, kind="stable")
    for adjusted in (holm(p_values), benjamini_hochberg(p_values)):
        assert np.all(adjusted >= given_p * (1 - 1e-15))
        assert np.all(adjusted <= 1)
        assert np.all(np.diff(adjusted[order]) >= 0)
    assert np.all(benjamini_hochberg(p_values) <= holm(p_values) * (1 + 1e-15))


@given(P_VALUES, st.randoms())
def test_the_order_given_does_not_matter(p_values: list[float], chance: st.DataObject) -> None:
    places = list(range(len(p_values)))
    chance.shuffle(places)  # type: ignore[attr-defined]
    shuffled = [p_values[place] for place in places]
    for correct in (holm, benjamini_hochberg):
        assert np.array_equal(correct(shuffled), correct(p_values)[places])


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_one_test_needs_no_correction_and_none_is_none(correct: object) -> None:
    assert correct([0.03]).tolist() == [0.03]  # type: ignore[operator]
    assert correct([]).tolist() == []  # type: ignore[operator]


def test_by_hand() -> None:
    assert np.allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert np.allclose(benjamini_hochberg([0.01, 0.04, 0.03]), [0.03, 0.04, 0.04])
