from __future__ import annotations

import random

import pytest

from convbench.leaderboard.copies import Answered, chance_of, is_near, words_of
from convbench.leaderboard.look_alikes import folded, look


def test_ascii_is_folded_as_everything_is() -> None:
    chance = random.Random(0)
    for _ in range(5000):
        text = "".join(chr(chance.randrange(128)) for _ in range(chance.randrange(20)))
        assert look(text) == folded(text).replace("rn", "m")
    assert look("Corner\tCAFÉ №1") == look("Corner\tcafe Nol") == "comer\tcafe nol"


@pytest.mark.parametrize(
    ("response", "reference", "near"),
    [
        ("It opened in 1937.", "it opened in 1937", True),
        ("1937 in opened it", "It opened in 1937.", True),
        ("Well it opened to the public in May 1937", "It opened to the public in May 1937", True),
        ("It opened to the public in May", "It opened to the public in May 1937 and closed again", False),
        ("It opened", "It opened in 1937.", False),
        ("", "It opened in 1937.", False),
    ],
)
def test_what_is_nearly_a_reference(response: str, reference: str, near: bool) -> None:
    assert is_near(Answered(words_of(response), (words_of("something else"), words_of(reference)))) == near


def test_chance_is_how_often_it_is_said_of_other_turns() -> None:
    chance = random.Random(0)
    words = [f"w{number}" for number in range(500)]
    other = [words_of(" ".join(chance.sample(words, 8))) for _ in range(600)]
    none = words_of("There is no answer to that.")
    for count in (100, 600):  # all pairs, and some
        answered = [Answered(none, (none if place % 4 == 0 else other[place],)) for place in range(count)]
        assert chance_of(answered) == pytest.approx(0.25, abs=0.01)
    assert chance_of([Answered(each, (each,)) for each in other]) == 0
    assert chance_of([Answered(none, (none,))]) == 0
