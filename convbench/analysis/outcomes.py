"""The 2×2 of retrieval and response: was a gold passage among the first k, and was the response good?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUTCOMES = ("used hit", "unused hit", "lucky miss", "honest miss")
"""Gold retrieved and a good response; retrieved, and the response not good; not retrieved, and yet a good response; neither."""

_OUTSIDE = -1


def hits(ranks: NDArray[np.float64], depth: int) -> NDArray[np.float64]:
    """1 where the best gold passage stands among the first ``depth``, 0 where it does not, NaN where a turn is not judged.

    Args:
        ranks: Rank of the best gold passage from 1, infinite where none was retrieved, NaN where a turn is not judged; any shape.
        depth: k.
    """
    return np.where(np.isnan(ranks), np.nan, (ranks <= depth).astype(np.float64))


def outcomes(found: NDArray[np.float64], values: NDArray[np.float64], good: float) -> NDArray[np.intp]:
    """The place in ``OUTCOMES`` of every turn; -1 where it is not judged or has no response value.

    Args:
        found: Hits; shape (turns, runs).
        values: Response values; the same shape.
        good: The value from which on a response is good.
    """
    places = np.where(found == 1, 0, 2) + np.where(values >= good, 0, 1)
    return np.where(np.isnan(found) | np.isnan(values), _OUTSIDE, places).astype(np.intp)


def outcome_shares(places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Whose mean is the share of each outcome: 1 or 0, NaN on turns outside the table.

    Args:
        places: Shape (turns, runs).

    Returns:
        Shape (turns, 4 × runs): the four outcomes of the first run, then those of the next.
    """
    each = places[:, :, None]
    shares = np.where(each == _OUTSIDE, np.nan, (each == np.arange(len(OUTCOMES))).astype(np.float64))
    return shares.reshape(len(places), places.shape[1] * len(OUTCOMES))


def parted(found: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Response values of the turns with a hit, and of those without; NaN elsewhere. Shapes as given."""
    return np.where(found == 1, values, np.nan), np.where(found == 0, values, np.nan)


def joint(found: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Response value where there is a hit and 0 where there is none, as KILT counts (Petroni et al. 2021); NaN without either side."""
    return found * values


def clearest(places: NDArray[np.intp], ranks: NDArray[np.float64], values: NDArray[np.float64], count: int) -> tuple[tuple[int, ...], ...]:
    """Turns to look at, for each outcome of one run.

    By rank first (hits: the best-ranked gold first; misses: those without gold first, then the deepest), then by value (good responses: the
    highest first; others: the lowest first), then in the order of the turns.

    Args:
        places: Outcomes; shape (turns,).
        ranks: Of the best gold passage; shape (turns,).
        values: Of the responses; shape (turns,).
        count: At most this many of each.

    Returns:
        Places of turns, in the order of ``OUTCOMES``.
    """
    found = []
    for place in range(len(OUTCOMES)):
        turns = np.flatnonzero(places == place)
        by_rank = ranks[turns] if place < 2 else -ranks[turns]
        by_value = -values[turns] if place % 2 == 0 else values[turns]
        found.append(tuple(turns[np.lexsort((turns, by_value, by_rank))][:count].tolist()))
    return tuple(found)
