from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.analysis.rank_quality import by_bucket, rank_buckets


@pytest.mark.parametrize(
    ("depth", "labels"),
    [
        (100, ["1", "2", "3", "4-5", "6-10", "11-20", "21-100"]),
        (1000, ["1", "2", "3", "4-5", "6-10", "11-20", "21-1000"]),
        (21, ["1", "2", "3", "4-5", "6-10", "11-20", "21"]),
        (20, ["1", "2", "3", "4-5", "6-10", "11-20"]),
        (7, ["1", "2", "3", "4-5", "6-7"]),
        (5, ["1", "2", "3", "4-5"]),
        (4, ["1", "2", "3", "4"]),
        (1, ["1"]),
        (0, []),
    ],
)
def test_buckets_reach_to_the_depth(depth: int, labels: list[str]) -> None:
    assert [bucket.label for bucket in rank_buckets(depth)] == [*labels, "not found"]


def test_values_go_to_the_bucket_of_their_rank() -> None:
    ranks = np.array([[1, 5], [4, np.nan], [np.inf, 1]])
    values = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, np.nan]])
    buckets = rank_buckets(5)
    found = by_bucket(ranks, values, buckets).reshape(3, 2, len(buckets))
    held = {(turn, run, buckets[bucket].label): found[turn, run, bucket] for turn, run, bucket in np.argwhere(~np.isnan(found))}
    assert held == {(0, 0, "1"): 0.1, (1, 0, "4-5"): 0.3, (2, 0, "not found"): 0.5, (0, 1, "4-5"): 0.2}


@given(st.integers(1, 300).flatmap(lambda depth: st.tuples(st.just(depth), st.one_of(st.integers(1, depth), st.just(np.inf)))))
def test_every_rank_is_in_one_bucket(drawn: tuple[int, float]) -> None:
    depth, rank = drawn
    assert (~np.isnan(by_bucket(np.array([[rank]]), np.ones((1, 1)), rank_buckets(depth)))).sum() == 1
