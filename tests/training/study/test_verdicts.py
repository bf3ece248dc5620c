"""What is said of a claim follows from the interval alone."""

from __future__ import annotations

import pytest

from convbench.training.study.verdicts import verdict_in_words, verdict_of


@pytest.mark.parametrize(
    ("interval", "higher", "lower"),
    [
        ((0.01, 0.2), "holds", "contradicted"),
        ((-0.2, -0.01), "contradicted", "holds"),
        ((-0.1, 0.2), "undecided", "undecided"),
        ((0.0, 0.2), "undecided", "undecided"),
        ((-0.2, 0.0), "undecided", "undecided"),
        ((0.0, 0.0), "undecided", "undecided"),
        (None, "not measured", "not measured"),
    ],
)
def test_the_rule(interval, higher, lower):
    assert verdict_of(interval, higher_is_better=True) == higher
    assert verdict_of(interval, higher_is_better=False) == lower


def test_words():
    assert verdict_in_words((-0.012, 0.031), higher_is_better=True) == "undecided: the interval, 4.3 points wide, holds 0"
    assert verdict_in_words((0.1, 0.2), higher_is_better=True) == "holds: the interval lies above 0"
    assert verdict_in_words((-0.2, -0.1), higher_is_better=False) == "holds: the interval lies below 0, and lower is better"
    assert verdict_in_words((-0.2, -0.1), higher_is_better=True) == "contradicted: the interval lies below 0"
    assert verdict_in_words(None, higher_is_better=True).startswith("not measured: ")
