"""The canonical ranking: one order that every measure agrees on.

ir_measures' providers break ties in opposite ways and trec_eval keeps scores as 32-bit floats, so the same run can score 0.33 or 1.0.
Every ranking is therefore made canonical once: score descending, equal scores by passage id descending (trec_eval's rule), and then
scores lowered where needed until they strictly decrease as 32-bit floats too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from convbench.errors import RunFileError
from convbench.types import Ranking

TIE_RULE = "id-desc"
LARGEST = float(np.finfo(np.float32).max)
"""The largest score, and without its sign the lowest: beyond it a 32-bit float is infinite."""

_MAGNITUDE = np.int32(0x7FFFFFFF)
"""The bits of a 32-bit float without its sign: read as an integer, they grow by 1 from one float to the next."""
_PLENTY = 1 << 23
"""32-bit floats below half of the lowest."""


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
    known = dict(pairs)
    scores = as_floats(known.values())
    if len(known) != len(pairs) or not (np.abs(scores) <= LARGEST).all():
        raise _unusable(turn_id, pairs)
    if strictly_decreasing(scores):  # as most rankings come
        return Ranking(turn_id, tuple(islice(zip(known, map(float, known.values()), strict=True), depth)))
    ids, scores = _ordered(known, scores)
    return Ranking(turn_id, _lowered(turn_id, ids[:depth], scores[:depth], known))


def strictly_decreasing(scores: NDArray[np.float64]) -> bool:
    """Whether scores, as 32-bit floats, are finite and strictly decrease."""
    if not len(scores):
        return True
    if not (scores[0] <= LARGEST and scores[-1] >= -LARGEST and (scores[1:] < scores[:-1]).all()):
        return False
    singles = scores.astype(np.float32)  # finite, as all lie between the first and the last
    return bool((singles[1:] < singles[:-1]).all())


def can_be_lowered(scores: NDArray[np.float64]) -> bool:
    """Whether scores are finite as 32-bit floats, and so far above the lowest that any ties among them can be told apart."""
    return bool(len(scores) < _PLENTY and scores.min(initial=0) >= -LARGEST / 2 and scores.max(initial=0) <= LARGEST)


def _unusable(turn_id: str, pairs: Sequence[tuple[str, float]]) -> RunFileError:
    for passage_id, score in pairs:
        if not abs(score) <= LARGEST:
            return RunFileError(f"turn {turn_id}: passage {passage_id!r} has the score {score!r}; expected a finite 32-bit number")
    return RunFileError(f"turn {turn_id}: a passage appears twice in the ranking")


def as_floats(scores: Collection[float]) -> NDArray[np.float64]:
    """Scores as an array; infinity for an integer that no float can hold."""
    try:
        return np.fromiter(scores, np.float64, len(scores))
    except OverflowError:
        return np.array([score if abs(score) <= LARGEST else np.inf for score in scores], dtype=np.float64)


def _ordered(known: Mapping[str, float], scores: NDArray[np.float64]) -> tuple[list[str], NDArray[np.float64]]:
    """Passage ids and scores by score and, where scores are equal, by id, both descending; only ids that tie are compared."""
    order = np.argsort(-scores, kind="stable")
    given, scores = list(known), scores[order]
    ids = [given[place] for place in order.tolist()]
    equal = scores[1:] == scores[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal)).tolist()
    alike = sorted([ids[place] for place in tied], reverse=True)
    alike.sort(key=known.__getitem__, reverse=True)  # keeps the order of ids where scores are equal
    for place, passage_id in zip(tied, alike, strict=True):
        ids[place] = passage_id
    scores[tied] = as_floats([known[passage_id] for passage_id in alike])  # 0.0 and -0.0 tie, and each keeps its own
    return ids, scores


def _lowered(turn_id: str, ids: Sequence[str], scores: NDArray[np.float64], known: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Replaces a score that is not below its predecessor as float32 by the next float32 down.

    On the integers that count the floats, the next one down is one less: so the scores that are sought are the largest with
    ``lowered[i] <= count[i]`` and ``lowered[i] <= lowered[i - 1] - 1``.
    """
    counts = _counted(scores.astype(np.float32))
    places = np.arange(len(ids))
    lowered = np.minimum.accumulate(counts + places) - places
    changed = np.flatnonzero(lowered < counts)
    if len(changed) and lowered[-1] < (lowest := _counted(np.array([-LARGEST], dtype=np.float32))[0]):
        passage_id = ids[int(changed[np.argmax(lowered[changed] < lowest)])]
        raise RunFileError(
            f"turn {turn_id}: passage {passage_id!r} ties at {known[passage_id]!r} and cannot be lowered: no 32-bit number is left below"
        )
    unlike = scores.copy()
    unlike[changed] = _uncounted(lowered[changed])
    return tuple(zip(ids, unlike.tolist(), strict=True))


def _counted(singles: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many floats each lies above 0, negative below: the order of the floats, with both zeros as one."""
    bits = singles.view(np.int32)
    magnitudes = (bits & _MAGNITUDE).astype(np.int64)
    counts: NDArray[np.int64] = np.where(bits < 0, -magnitudes, magnitudes)
    return counts


def _uncounted(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The floats that lie so many above 0."""
    magnitudes = np.abs(counts).astype(np.int32).view(np.float32).astype(np.float64)
    return np.where(counts < 0, -magnitudes, magnitudes)


def is_canonical(ranking: Ranking) -> bool:
    """Whether scores strictly decrease as 32-bit floats and no passage repeats."""
    known = dict(ranking.passages)
    return len(known) == len(ranking.passages) and strictly_decreasing(as_floats(known.values()))
