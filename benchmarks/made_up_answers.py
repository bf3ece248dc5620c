"""Made-up answers to questions, for the benchmarks that compare texts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_ENDINGS = ("", "s", "ed", "ing", "ly", "ness", "al")
_COMMON = 4000
_NAMES = 3000
_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Of a text's words, those that are names: models cut names into many tokens, and texts differ in how many they hold."""


def words_of(rng: random.Random, count: int = _COMMON) -> list[str]:
    """Made-up words, many of them of one stem."""
    stems = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8))) for _ in range(count // len(_ENDINGS) + 1)]
    return [stem + ending for stem in stems for ending in _ENDINGS][:count]


def answers(rng: random.Random, words: Sequence[str], length: Callable[[], int]) -> Callable[[], str]:
    """A maker of answers: common words of which some come far more often than others, names, commas, a full stop.

    Args:
        rng: The source of chance.
        words: Common words.
        length: Gives the number of words of the next answer.
    """
    names = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(4, 8))).capitalize() for _ in range(_NAMES)]
    weights = [1 / (rank + 10) for rank in range(len(words))]

    def answer() -> str:
        share, count = rng.choice(_SHARES), length()
        chosen = [rng.choice(names) if rng.random() < share else word for word in rng.choices(words, weights, k=count)]
        return " ".join(word + ("," if rng.random() < 0.08 else "") for word in chosen) + "."

    return answer


def like(rng: random.Random, text: str, other: str) -> str:
    """An answer that shares words with another: about half of the first, then some of the second."""
    kept = [word for word in text.split(" ") if rng.random() < 0.5]
    return " ".join([*kept, *other.split(" ")[: len(kept) or 1]])
