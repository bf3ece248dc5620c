from __future__ import annotations

import numpy as np
import pytest

from convbench.analysis.clusters import Clusters
from convbench.analysis.interaction import interactions
from convbench.analysis.paired import paired_differences
from convbench.analysis.resampling import Resampling

PLAN = Resampling(resamples=400)
CLUSTERS = Clusters.of([f"c{n}_{turn}" for n in range(8) for turn in (1, 2, 3)])


def test_cells_that_add_up_have_an_interaction_of_exactly_0() -> None:
    chance = np.random.default_rng(0)
    retriever, generator = chance.integers(0, 8, size=(2, 24, 2)) / 16  # sums of such fractions are exact
    cells = np.stack([retriever[:, r] + generator[:, g] for r in (0, 1) for g in (0, 1)], axis=-1)[:, None, :]
    (found,) = interactions(cells, CLUSTERS, PLAN)
    assert (found.mean, found.interval, found.p) == (0.0, (0.0, 0.0), 1.0)


def test_it_is_the_difference_of_two_differences() -> None:
    cells = np.random.default_rng(1).random((24, 2, 4))
    cells[3, 1, 2] = np.nan
    found = interactions(cells, CLUSTERS, PLAN)
    loop = [np.mean([a - b - c + d for a, b, c, d in cells[:, grid] if not np.isnan([a, b, c, d]).any()]) for grid in range(2)]
    assert [result.mean for result in found] == pytest.approx(loop)
    assert [result.n_turns for result in found] == [24, 23]
    (alone,) = paired_differences((cells[:, 0, 0] - cells[:, 0, 1] - (cells[:, 0, 2] - cells[:, 0, 3]))[:, None], CLUSTERS, PLAN)
    assert found[0].interval == pytest.approx(alone.interval)
    assert found[0].p == alone.p


def test_parts_that_belong_together_are_found_out() -> None:
    cells = np.random.default_rng(2).normal(0, 0.05, size=(24, 1, 4))
    cells[:, :, 0] += 0.3
    (found,) = interactions(cells, CLUSTERS, PLAN)
    assert found.mean is not None
    assert found.p is not None
    assert found.mean > 0.2
    assert found.p < 0.02
