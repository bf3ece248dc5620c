"""Interaction of two factors with two levels each: do the parts of one system do more together than apart?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.paired import PairedDifference, paired_differences
from convbench.analysis.resampling import Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNS = (1.0, -1.0, -1.0, 1.0)
"""Of (own, own), (own, other), (other, own), (other, other)."""


def interactions(cells: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> list[PairedDifference]:
    """(own, own) - (own, other) - (other, own) + (other, other), turn by turn, over the turns that all four cells have.

    Where retriever and generator only add up, it is 0, however good either is. The p is of conversation-level sign flips, under which a
    conversation's interaction is as likely to have been the opposite.

    Args:
        cells: Values; shape (turns, grids, 4), the last axis as in ``SIGNS``; NaN where a turn has no value.
        clusters: The turns' conversations.
        plan: Resamples, seed and level.
    """
    return paired_differences(cells @ np.array(SIGNS), clusters, plan)
