"""Exact search over memory-mapped shards, 200,000 vectors of 768 numbers, beside one faiss.IndexFlatIP that holds them all in memory.

    python benchmarks/dense_search.py [--out benchmarks/results/dense_search.json] [--small]

Ours is ``ExactSearcher.nearest``: it reads block after block from disk (here, from the system's cache of it), looks a little deeper than k
for passages that tie, and gives equal vectors equal scores. The multiplication is faiss' in both, so 1 is the ceiling.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import Result, environment, extra_megabytes, growth, one_thread, side_by_side, write_results

one_thread()

import faiss  # noqa: E402
import numpy as np  # noqa: E402

from convbench.backends.base import Vectors  # noqa: E402
from convbench.retrieval.exact import ExactSearcher, Neighbours  # noqa: E402
from convbench.retrieval.index_folder import IndexFolder  # noqa: E402
from convbench.retrieval.shards import Shards, Storage  # noqa: E402

SHARDS = 8
DIM = 768
K = 1000
NEAR = 2e-6
"""Sums of 768 products in another order differ by less."""
SMALL_BLOCK = 32 << 20
FEW = 50


def shards_of(folder: Path, vectors: Vectors, storage: Storage) -> Shards:
    folder.mkdir()
    shards = Shards(IndexFolder(folder, folder / "digests"), len(vectors), DIM, storage, len(vectors) // SHARDS)
    for number, part in enumerate(shards.parts):
        np.save(shards.path(part), vectors[number * shards.shard_rows :][: part.rows].astype(storage))
    return shards


def first(shards: Shards, count: int) -> Shards:
    """A collection of the first few shards."""
    return Shards(shards.folder, count * shards.shard_rows, DIM, shards.storage, shards.shard_rows)


def same(ours: list[Neighbours], theirs: tuple[Vectors, Any], k: int) -> None:
    """Asserts equal scores, but for the order of sums, and equal passages, but for those that are as near as the k-th."""
    for (rows, scores), their_scores, their_rows in zip(ours, *theirs, strict=True):
        assert np.abs(scores[:k] - their_scores).max() < NEAR
        clear = their_scores > their_scores[-1] + NEAR
        assert set(their_rows[clear].tolist()) <= set(rows[:k].tolist())
        assert set(rows[:k][scores[:k] > their_scores[-1] + NEAR].tolist()) <= set(their_rows.tolist())


def measure(size: int, count: int, scratch: Path) -> list[Result]:
    chance = np.random.default_rng(1)
    vectors, queries = (chance.standard_normal((rows, DIM), dtype=np.float32) / np.float32(DIM**0.5) for rows in (size, count))
    return [stored(vectors, queries, scratch, storage, target) for storage, target in TARGETS.items()]


def stored(vectors: Vectors, queries: Vectors, scratch: Path, storage: Storage, target: float | None) -> Result:
    """Vectors in shards of one storage, beside the same values in memory."""
    shards = shards_of(scratch / storage, vectors, storage)
    k = min(K, shards.shard_rows)
    peer = faiss.IndexFlatIP(DIM)
    peer.add(vectors.astype(storage).astype(np.float32))

    def search(asked: Vectors, times: int = SHARDS, **options: int) -> Callable[[], list[Neighbours]]:
        return partial(ExactSearcher(first(shards, times), **options).nearest, asked, k)

    few = queries[:FEW]
    memory = {
        f"megabytes, {FEW} queries, {times / SHARDS:.0%} of the vectors": extra_megabytes(search(few, times, block_bytes=SMALL_BLOCK))
        for times in (2, 8)
    }
    return Result(
        path=f"exact search, {len(vectors):,} × {DIM} in {SHARDS} mapped shards of {storage}, {len(queries)} queries, k = {k:,}",
        peer="one faiss.IndexFlatIP in memory",
        pairs=side_by_side(search(queries), partial(peer.search, queries, k), partial(same, k=k)),
        equality=f"scores to {NEAR:g}, ids beyond ties",
        target=target,
        growth=growth(lambda times: search(few, times), repeats=2),
        memory=memory,
        notes=NOTES[storage],
        settings={"megabytes on disk": shards.bytes_on_disk >> 20, "megabytes of a block where memory is measured": SMALL_BLOCK >> 20},
    )


TARGETS: dict[Storage, float | None] = {"float32": 0.85, "float16": None}
NOTES = {
    "float32": "What is left is the best of every block, sorted out anew for each of three blocks, and the copy from disk. Megabytes "
    "include the one shard that is mapped.",
    "float16": "Half the disk, and every number is widened to float32 on its way to the same multiplication.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="8,000 vectors, for a test")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        results = measure(*((8_000, 20) if options.small else (200_000, 500)), Path(scratch))
    write_results(options.out, results, environment(["faiss-cpu", "numpy"], load_before))


if __name__ == "__main__":
    main()
