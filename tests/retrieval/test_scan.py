from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_index import shards_of

from convbench.retrieval.scan import BlockScan, Top, merged, nothing
from convbench.retrieval.shards import ALIGNMENT, Shards

SMALLEST = 1
"""Blocks of 1024 vectors, the fewest there are."""

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
sys.path[:0] = [sys.argv[1]]
from small_index import shards_of
from convbench.retrieval.exact import ExactSearcher

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

rows, chance = int(sys.argv[3]), np.random.default_rng(3)
shards = shards_of(Path(sys.argv[2]), chance.standard_normal((rows, 16), dtype=np.float32), storage="float16", shard_rows=8192)
queries = chance.standard_normal((512, 16), dtype=np.float32)
searcher = ExactSearcher(shards, 8192 * 4 * 16)
searcher.nearest(queries[:1], 1)
before, found = held(), searcher.nearest(queries, 1000)
made = [list(zip(map(str, each.rows), each.scores.tolist())) for each in found]
print(held() - before)
"""


def by_definition(shards: Shards, queries: NDArray[np.float32], k: int) -> Top:
    """Block by block, each with arrays of its own."""
    import faiss

    best = nothing(len(queries), k)
    for start, block in shards.blocks(shards.memory(SMALLEST)):
        padded = np.full((-(-len(block) // ALIGNMENT) * ALIGNMENT, block.shape[1]), np.nan, dtype=np.float32)
        padded[: len(block)] = block
        scores, rows = faiss.knn(queries, padded, k, metric=faiss.METRIC_INNER_PRODUCT)
        rows[rows >= 0] += start
        best = merged(best, Top(scores, rows))
    return best


def vectors_of(kind: str, rows: int, dim: int) -> NDArray[np.float32]:
    chance = np.random.default_rng(rows)
    if kind == "ties":
        return chance.integers(-1, 2, (rows, dim)).astype(np.float32)
    vectors = chance.standard_normal((rows, dim), dtype=np.float32)
    return vectors[chance.integers(0, max(rows // 50, 1), rows)] if kind == "copies" else vectors


@pytest.mark.parametrize("kind", ["normal", "ties", "copies"])
@pytest.mark.parametrize(("rows", "queries", "k"), [(1, 3, 1), (1, 1, 5), (1500, 40, 7), (3072, 64, 300), (2600, 3, 2600), (5000, 0, 10)])
def test_it_is_merging_block_after_block(tmp_path: Path, kind: str, rows: int, queries: int, k: int) -> None:
    shards = shards_of(tmp_path, vectors_of(kind, rows, 48), storage="float16", shard_rows=700)
    asked = vectors_of("normal", queries, 48)
    scan = BlockScan(shards, SMALLEST)
    found, expected = scan.top(asked, k), by_definition(shards, asked, k)
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert np.array_equal(found.rows, expected.rows)
    again = scan.top(asked[::-1], k)  # neither contiguous nor in the memory of before
    assert again.rows.shape == expected.rows.shape
    assert found.scores.tobytes() == expected.scores.tobytes()


def test_blocks_leave_no_arrays_behind(tmp_path: Path) -> None:
    """Of arrays as large as the best of all queries there are a few, which glibc does not keep, and none for each block."""
    shards, queries, k = shards_of(tmp_path, vectors_of("normal", 9000, 8)), vectors_of("normal", 200, 8), 500
    scan = BlockScan(shards, SMALLEST)
    scan.top(queries, k)
    tracemalloc.start()
    scan.top(queries, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * k * 4


@pytest.mark.slow
def test_memory_does_not_depend_on_the_number_of_blocks(tmp_path: Path) -> None:
    """That of the process, once the rankings are made: 3 blocks and 40."""
    held = []
    for blocks in (3, 40):
        command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path / str(blocks)), str(blocks * 8192)]
        held.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert max(held) < 1.02 * min(held)
