"""The canonical ranking: one order that every measure agrees on.

ir_measures' providers break ties in opposite ways and trec_eval keeps scores as 32-bit floats, so the same run can score 0.33 or 1.0.
Every ranking is therefore made canonical once: score descending, equal scores by passage id descending (trec_eval's rule), and then
scores lowered where needed until they strictly decrease as 32-bit floats too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from convbench.errors import RunFileError
from convbench.types import Ranking

TIE_RULE = "id-desc"
LARGEST = float(np.finfo(np.float32).max)
"""The largest score, and without its sign the lowest: beyond it a 32-bit float is infinite."""


def canonical(turn_id: str, passages: Iterable[tuple[str, float]], depth: int | None = None) -> Ranking:
    """The canonical ranking of a turn's scored passages.

    Args:
        turn_id: The turn.
        passages: (passage id, score) in any order.
        depth: How many to keep, or None for all.

    Raises:
        RunFileError: A score is NaN or infinite as a 32-bit float, a passage appears twice, or scores tie where none is left below them.
    """
    pairs = list(passages)
    for passage_id, score in pairs:
        if not abs(score) <= LARGEST:
            raise RunFileError(f"turn {turn_id}: passage {passage_id!r} has the score {score!r}; expected a finite 32-bit number")
    if len({passage_id for passage_id, _ in pairs}) != len(pairs):
        raise RunFileError(f"turn {turn_id}: a passage appears twice in the ranking")
    singles = np.array([score for _, score in pairs], dtype=np.float32)
    if (singles[1:] < singles[:-1]).all():  # as most rankings come
        return Ranking(turn_id, tuple((passage_id, float(score)) for passage_id, score in pairs[:depth]))
    ordered = sorted(pairs, key=lambda pair: (pair[1], pair[0]), reverse=True)[:depth]
    return Ranking(turn_id, _strictly_decreasing(turn_id, ordered))


def _strictly_decreasing(turn_id: str, ordered: list[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Replaces a score that is not below its predecessor as float32 by the next float32 down."""
    result = []
    previous = np.float32(np.inf)
    for passage_id, score in ordered:
        single = np.float32(score)
        if single >= previous:
            if previous == -LARGEST:
                raise RunFileError(
                    f"turn {turn_id}: passage {passage_id!r} ties at {score!r} and cannot be lowered: no 32-bit number is left below"
                )
            score = float(single := np.nextafter(previous, np.float32(-np.inf)))
        result.append((passage_id, float(score)))
        previous = single
    return tuple(result)


def is_canonical(ranking: Ranking) -> bool:
    """Whether scores strictly decrease as 32-bit floats and no passage repeats."""
    scores = np.array([score for _, score in ranking.passages], dtype=np.float32)
    unique = len({passage_id for passage_id, _ in ranking.passages}) == len(ranking.passages)
    return unique and bool(np.all(scores[1:] < scores[:-1])) and bool(np.all(np.isfinite(scores)))
