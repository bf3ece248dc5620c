from __future__ import annotations

import pytest

from convbench.metrics.overlap import Overlap, overlap
from convbench.metrics.squad import leave_one_out, normalize, tokens


def compared(reference: str, prediction: str) -> Overlap:
    return overlap(tokens(reference), tokens(prediction))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Old\tHarbour, again!", "old harbour again"),
        ("theory of a-theism", "theory of atheism"),
        ("an", ""),
        ("it’s", "it’s"),
        ("the\u00a0quay", "quay"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalize(text) == expected


def test_punctuation_goes_before_articles_so_a_hyphen_can_make_one() -> None:
    assert normalize("t-h-e end") == "end"


def test_a_decimal_point_is_lost_as_published() -> None:
    found = compared("3.5 million", "35 million")
    assert (found.exact, found.f1) == (1.0, 1.0)


def test_f1_counts_repeated_tokens() -> None:
    assert compared("red red blue", "red red red").f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"), [("", "", 1.0), ("the", "...", 1.0), ("", "quay", 0.0), ("quay", "a", 0.0)]
)
def test_empty_texts_agree_only_with_empty_texts(reference: str, prediction: str, expected: float) -> None:
    found = compared(reference, prediction)
    assert (found.f1, found.exact) == (expected, expected)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.3], 0.3), ([1.0, 0.0], 0.5), ([1.0, 1.0, 0.0], 1.0), ([0.9, 0.6, 0.3], (0.6 + 0.9 + 0.9) / 3)],
)
def test_leave_one_out(scores: list[float], expected: float) -> None:
    assert leave_one_out(scores) == pytest.approx(expected, abs=1e-12)
