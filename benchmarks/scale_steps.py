"""The steps that ``scale.py`` measures. Each runs in a process of its own, so that its memory is its alone.

    python benchmarks/scale_steps.py STEP --passages N --dim D --place FOLDER

A step makes ready, prints a line to say so, does what is measured and prints what it found as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from side_by_side import one_thread

one_thread()

from scale_data import Collection, StandIn, Watch, queries  # noqa: E402

from convbench.datasets.store import ArrowPassageStore  # noqa: E402
from convbench.datasets.store_build import build_store  # noqa: E402
from convbench.meter import Meter  # noqa: E402
from convbench.retrieval.approximate import IVFPQConfig  # noqa: E402
from convbench.retrieval.base import Retriever  # noqa: E402
from convbench.retrieval.dense import DenseRetriever  # noqa: E402
from convbench.retrieval.passage_index import IndexConfig, PassageIndex  # noqa: E402
from convbench.retrieval.shards import BLOCK_BYTES, SHARD_ROWS  # noqa: E402

DEPTHS = (100, 1000)
WIDE = 1024
"""Vectors that are wider are searched to one depth, for time's sake."""
BM25_QUERIES = 512
LOOKED_UP = 100
READING = 8 << 20

PART_ROWS: int = (build_store.__kwdefaults__ or {})["part_rows"]

Found = dict[str, Any]


def dense_queries(dim: int) -> int:
    """Queries of one search: a whole batch, fewer where multiplying alone would take minutes on one core."""
    return min(DenseRetriever.batch_size, DenseRetriever.batch_size * 512 // dim)


def store(passages: int, dim: int, place: Path) -> Found:
    import pyarrow  # noqa: F401  (loading a library is no part of a step)

    collection = Collection(passages)
    with measured() as took:
        built = build_store(lambda: iter(collection), place / "store", sources={"synthetic": str(passages)})
    return {**times(took, collection.making), "making_passages_seconds": collection.making.seconds, "fills_buffers": len(built) > PART_ROWS}


def look_up(passages: int, dim: int, place: Path) -> Found:
    """Passages by id, from where the disk has them."""
    import pyarrow  # noqa: F401

    forget(place / "store")
    with measured() as took:
        with Watch() as opening:
            opened = ArrowPassageStore(place / "store")
        wanted = opened.ids(range(0, passages, max(passages // LOOKED_UP, 1)))
        found = opened.get(wanted)
        assert [passage.id for passage in found] == wanted
    return {**times(took, opening), "opening_seconds": opening.seconds, "looked_up": len(wanted), "fills_buffers": True}


def bm25_build(passages: int, dim: int, place: Path) -> Found:
    retriever, meter, stored = bm25(), Meter(), ArrowPassageStore(place / "store")
    with measured() as took:
        retriever.index(stored, place / "bm25", meter)
    words, postings, lengths = bm25_sizes(place)
    must_grow = {"vocabulary": words_in_memory(place), "lengths": lengths}
    return {**times(took), "words": words, "postings": postings, "must_grow": must_grow, "fills_buffers": fills_bm25(words, postings)}


def fills_bm25(words: int, postings: int) -> bool:
    """Whether as many words are remembered, and as many postings sorted at a time, as ever are."""
    from convbench.retrieval.bm25_count import _REMEMBERED
    from convbench.retrieval.bm25_merge import TOGETHER

    return words > _REMEMBERED and postings > TOGETHER


def bm25_sizes(place: Path) -> tuple[int, int, int]:
    """How many words and postings the index has, and what the passages' lengths take in bytes while it is built."""
    from convbench.retrieval.bm25_index import BM25Index

    index = BM25Index(bm25_folder(place))
    return len(index._ends) - 1, int(index._ends[-1]), 4 * index.size


def words_in_memory(place: Path) -> int:
    """What a dictionary of the words takes, in bytes: they are numbered in one while an index is built. In a process of its own."""
    command = [sys.executable, __file__, "words", "--passages", "0", "--place", str(place)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    size: int = json.loads(done.stdout)["bytes"]
    return size


def words(passages: int, dim: int, place: Path) -> Found:
    from convbench.retrieval.bm25_vocabulary import Vocabulary

    spelt, before = Vocabulary(bm25_folder(place)), status("RssAnon")
    numbers = {word: number for number, word in enumerate(spelt)}
    return {"words": len(numbers), "bytes": status("RssAnon") - before}


def bm25_folder(place: Path) -> Path:
    return next(path for path in (place / "bm25" / "bm25").iterdir() if path.is_dir())


def bm25_search(passages: int, dim: int, place: Path) -> Found:
    return {**searched(bm25(), BM25_QUERIES, place, "bm25"), "fills_buffers": True}


def encode(passages: int, dim: int, place: Path) -> Found:
    encoder, stored = StandIn(dim), ArrowPassageStore(place / "store")
    retriever = dense(encoder)
    with measured() as took:
        retriever.index(stored, place / "dense", Meter())
    return {**times(took, encoder.making), "making_vectors_seconds": encoder.making.seconds, "fills_buffers": passages > SHARD_ROWS}


def search(passages: int, dim: int, place: Path) -> Found:
    """Exact search, with the vectors read from disk: a large collection's do not stay in memory."""
    rates = {"disk_bytes_a_second": reading(place / "dense"), "flop_a_second": multiplying(dim)}
    found = searched(dense(StandIn(dim)), dense_queries(dim), place, "dense", DEPTHS if dim <= WIDE else DEPTHS[-1:])
    return {**found, **rates, "fills_buffers": passages * 4 * dim > BLOCK_BYTES}


def approximate(passages: int, dim: int, place: Path) -> Found:
    """Building an index of product quantisation and searching it."""
    retriever, stored, meter = dense(StandIn(dim), IndexConfig(index=IVFPQConfig())), ArrowPassageStore(place / "store"), Meter()
    with measured() as took:
        retriever.index(stored, place / "dense", meter)
    size = sum(path.stat().st_size for path in (place / "dense").rglob("*.faiss"))
    return {**times(took), "index_bytes": size, "must_grow": {"index": size}, "fills_buffers": True}


def searched(retriever: Retriever, asked: int, place: Path, files: str, depths: Sequence[int] = DEPTHS) -> Found:
    """What opening an index and searches of some depths took; seconds are those of the deepest.

    Before each the system forgets the index, so that it is read from disk.
    """
    stored, wanted = ArrowPassageStore(place / "store"), queries(asked)
    by_depth: dict[str, Found] = {}
    with measured():
        with Watch() as opening:
            retriever.index(stored, place / files, Meter())
        retriever.search(wanted[:1], 1, Meter())  # loads what is compiled
        for k in depths:
            forget(place / files)
            with Watch() as took:
                for start in range(0, asked, retriever.batch_size):
                    found = retriever.search(wanted[start : start + retriever.batch_size], k, Meter())
                    assert len(found) == min(retriever.batch_size, asked - start)
            by_depth[str(k)] = times(took)
    return {**by_depth[str(depths[-1])], "by_depth": by_depth, "queries": asked, "opening_seconds": opening.seconds}


def bm25() -> Retriever:
    from convbench.retrieval.bm25 import BM25Config, BM25Retriever

    return BM25Retriever(BM25Config(k1=0.9, b=0.4))


def dense(encoder: StandIn, config: IndexConfig | None = None) -> DenseRetriever:
    return DenseRetriever(encoder, PassageIndex(config or IndexConfig()))


@contextmanager
def measured() -> Iterator[Watch]:
    """Takes the time; says on standard output when it starts, for memory to be looked at from then on."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    print(json.dumps({"anonymous": status("RssAnon")}), flush=True)
    with Watch() as watch:
        yield watch


def times(took: Watch, apart: Watch | None = None) -> Found:
    """What a step took, less what is no part of it."""
    less = apart or Watch()
    return {"seconds": took.seconds - less.seconds, "processor_seconds": took.processor_seconds - less.processor_seconds}


def status(name: str) -> int:
    """A figure of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def forget(folder: Path) -> None:
    """Asks the system to forget what it keeps of files, so that the next to read them reads the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
                os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def reading(folder: Path, most: int = 2 << 30) -> float:
    """Bytes a second at which plain reading goes through files, none of them kept by the system."""
    forget(folder)
    done, buffer = 0, bytearray(READING)
    with Watch() as took:
        for path in sorted(folder.rglob("*.npy")):
            with path.open("rb", buffering=0) as handle:
                while done < most and (count := handle.readinto(buffer)):
                    done += count
    return done / took.seconds


def multiplying(dim: int) -> float:
    """Floating-point operations a second of a product of a batch of queries with vectors in memory."""
    import numpy as np

    vectors = np.random.default_rng(4).standard_normal((8192, dim), dtype=np.float32)
    asked = vectors[: DenseRetriever.batch_size]
    with Watch() as took:
        for _ in range(3):
            asked @ vectors.T
    return 3 * 2.0 * asked.size * len(vectors) / took.processor_seconds


STEPS: dict[str, Callable[[int, int, Path], Found]] = {
    "store": store,
    "look-up": look_up,
    "bm25-build": bm25_build,
    "bm25-search": bm25_search,
    "encode": encode,
    "search": search,
    "approximate": approximate,
    "words": words,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--passages", type=int, required=True)
    parser.add_argument("--dim", type=int, default=0)
    parser.add_argument("--place", type=Path, required=True)
    options = parser.parse_args()
    found = STEPS[options.step](options.passages, options.dim, options.place)
    print(json.dumps({**found, "resident_peak": status("VmHWM")}), flush=True)


if __name__ == "__main__":
    main()
