from __future__ import annotations

from pathlib import Path

import numpy as np
from small_index import shards_of

from convbench.retrieval.copies import even_out

VECTORS = np.array([[1, 2], [3, 4], [1, 2], [9, 9], [3, 4]], dtype=np.float32)


def evened(tmp_path: Path, scores: list[float], rows: list[int], nearness: float = 1e-5) -> tuple[list[float], list[int]]:
    own, places = np.array([scores], dtype=np.float32), np.array([rows])
    even_out(own, places, np.array([nearness]), shards_of(tmp_path, VECTORS, shard_rows=2))
    return own[0].tolist(), places[0].tolist()


def test_copies_get_the_largest_of_their_scores_and_stand_together(tmp_path: Path) -> None:
    a, b, c, d = (float(np.float32(value)) for value in (0.9999999, 0.9999997, 0.9999995, 0.9999993))
    assert evened(tmp_path, [a, b, c, d], [0, 1, 2, 4]) == ([a, a, b, b], [0, 2, 1, 4])


def test_other_vectors_and_scores_far_apart_stay(tmp_path: Path) -> None:
    assert evened(tmp_path, [1.0, 0.5], [0, 2]) == ([1.0, 0.5], [0, 2])
    near = [1.0, float(np.float32(0.9999999))]
    assert evened(tmp_path / "other", near, [0, 3]) == (near, [0, 3])


def test_places_that_nothing_was_found_for_stay(tmp_path: Path) -> None:
    assert evened(tmp_path, [1.0, -np.inf, -np.inf], [0, -1, -1]) == ([1.0, -np.inf, -np.inf], [0, -1, -1])


def test_equals_looking_at_every_pair(tmp_path: Path) -> None:
    """Vectors that differ only in their last value, copies of several; the last queries' scores are too far apart for copies."""
    chance = np.random.default_rng(1)
    vectors = np.repeat(chance.standard_normal((40, 40), dtype=np.float32), 3, axis=0)
    vectors[::3, -1] += 1.0
    vectors[50:60] = chance.standard_normal((10, 40), dtype=np.float32)
    shards = shards_of(tmp_path, vectors, shard_rows=17)
    scores = -np.sort(-(1 + 1e-7 * chance.integers(0, 9, (25, 60))).astype(np.float32), axis=1)
    scores[20:] = -np.arange(60)
    rows = np.stack([chance.permutation(120)[:60] for _ in range(25)])
    evened_scores, evened_rows = scores.copy(), rows.copy()
    even_out(evened_scores, evened_rows, np.full(25, 1e-5), shards)
    changed = 0
    for query in range(25):
        expected = {
            row: scores[query, place]
            if query >= 20
            else max(scores[query, there] for there, other in enumerate(rows[query]) if (vectors[row] == vectors[other]).all())
            for place, row in enumerate(rows[query].tolist())
        }
        found = dict(zip(evened_rows[query].tolist(), evened_scores[query].tolist(), strict=True))
        assert found == expected
        assert (np.diff(evened_scores[query]) <= 0).all()
        changed += evened_scores[query].tolist() != scores[query].tolist()
    assert changed >= 15
