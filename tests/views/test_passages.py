from __future__ import annotations

import pytest

from convbench.types import Passage
from convbench.views.passages import passage_text


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Dune lighthouse", "Dune lighthouse\nIt is red."),
        ("", "It is red."),
        ("Lighthouses [SEP] Dune [SEP] Colour", "Lighthouses Dune Colour\nIt is red."),
        ("A[SEP]B", "A[SEP]B\nIt is red."),
    ],
)
def test_title_then_text(title: str, expected: str) -> None:
    assert passage_text(Passage("p", "It is red.", title)) == expected


def test_a_separator_in_the_text_is_left_alone() -> None:
    assert passage_text(Passage("p", "a [SEP] b")) == "a [SEP] b"
