"""Building a BM25 index on disk: what bm25s builds, bit by bit, in memory that does not grow with the postings.

First every block of passages is read into words and counted (``bm25_count``). Then the blocks are merged into bm25s' arrays, a range of
words at a time (``bm25_merge``). What grows is the vocabulary, and four bytes for every passage's length.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convbench.datasets.store import PassageStore
from convbench.errors import UsageError, storage_error
from convbench.io.atomic import atomic_path
from convbench.meter import Meter
from convbench.progress import progress_bar
from convbench.retrieval import bm25_vocabulary
from convbench.retrieval.bm25_count import POSTING, block_parts, check_index_room, count_words, totals
from convbench.retrieval.bm25_former import name_former
from convbench.retrieval.bm25_merge import write_postings
from convbench.retrieval.bm25_scores import Scores
from convbench.retrieval.bm25_vocabulary import save_as_bm25s, save_vocabulary
from convbench.retrieval.index_folder import IndexFolder, Part

if TYPE_CHECKING:
    import bm25s

_DATA, _INDICES, _VOCABULARY = "data.csc.index.npy", "indices.csc.index.npy", "vocab.index.json"
_FILES = (_DATA, _INDICES, _VOCABULARY, "indptr.csc.index.npy", "params.index.json", *bm25_vocabulary.FILES)
_MOST_PASSAGES = np.iinfo(np.int32).max
_OF_ABSENT = "nonoccurrence_array.index.npy"


def parts_of(index: bm25s.BM25) -> list[Part]:
    """The files of an index with these settings."""
    return [Part(name) for name in (*_FILES, *([_OF_ABSENT] if index.method in index.methods_requiring_nonoccurrence else []))]


def build_bm25(folder: IndexFolder, store: PassageStore, tokenizer: Any, index: bm25s.BM25, meter: Meter) -> None:
    """Builds the index of a collection, unless it is there and undamaged.

    A build that was killed goes on after its last whole block, and ends with the bytes of one that was not. Of two processes that build
    one index the second waits, then finds the first one's.

    Args:
        folder: Where it goes.
        store: The passages.
        tokenizer: Of bm25s; makes words of texts.
        index: Settings of bm25s; no scores yet.
        meter: Building is its phase ``index``.

    Raises:
        UsageError: No passage holds a word, or there are more passages than bm25s can number.
        StorageError: The disk is full or has not enough room, or the folder cannot be written to; the same call goes on where it stopped.
    """
    if len(store) > _MOST_PASSAGES:
        raise UsageError(f"bm25: the collection has {len(store):,} passages, at most {_MOST_PASSAGES:,} can be indexed: split it")
    parts, counted = parts_of(index), folder.path / "blocks"
    if not any(map(folder.fault, parts)) and not counted.exists():
        folder.tidy()
        return
    with folder.locked():
        faults = {part: fault for part in parts if (fault := folder.fault(part))}
        for part, fault in faults.items():
            folder.report(part, fault)
        if faults:
            name_former(folder.path.parent)
            blocks = IndexFolder(counted, counted)
            with meter.phase("index"), blocks.locked():
                _build(folder, blocks, store, tokenizer, index)
        shutil.rmtree(counted, ignore_errors=True)


def _build(folder: IndexFolder, blocks: IndexFolder, store: PassageStore, tokenizer: Any, index: bm25s.BM25) -> None:
    files = block_parts(len(store))
    count_words(blocks, files, store, tokenizer)
    paths = [blocks.path / file.name for file in files]
    held_by, lengths = totals(paths, len(tokenizer.get_vocab_dict()), len(store))
    postings = int(held_by.sum())
    if not postings:
        shutil.rmtree(blocks.path)
        raise UsageError("bm25: no passage of the collection holds a word, as the analyzer's pattern and stop words define words")
    check_index_room(blocks.path, f"{postings:,} postings take {POSTING} bytes each", postings * POSTING)
    scores = Scores(index, held_by, lengths)
    with _staged(blocks.path / "merged") as staged:
        _save_words(index, tokenizer.get_vocab_dict(), held_by, scores, staged)
        with progress_bar("bm25: sort words", postings, unit="posting") as advance:
            write_postings(paths, held_by, scores, staged / _DATA, staged / _INDICES, advance)
        for part in parts_of(index):
            with atomic_path(folder.path / part.name) as temporary:
                (staged / part.name).replace(temporary)
            folder.record(part)


def _save_words(index: bm25s.BM25, numbers: dict[str, int], held_by: npt.NDArray[np.int64], scores: Scores, folder: Path) -> None:
    """Writes everything but the postings, with bm25s' own ``save``. Like bm25s, adds the empty word, which no passage holds."""
    indptr = np.zeros(len(held_by) + 1, np.int64)
    np.cumsum(held_by, out=indptr[1:])
    none = {"data": np.empty(0, np.float32), "indices": np.empty(0, np.int32)}
    numbers.setdefault("", len(numbers))
    index.scores = {**none, "indptr": indptr, "num_docs": len(scores.lengths)}
    index.nonoccurrence_array, index.vocab_dict = scores.absent, {}
    index.save(str(folder), show_progress=False)
    save_as_bm25s(numbers, folder / _VOCABULARY)
    save_vocabulary(numbers, folder)


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """An empty folder for files that are being written; goes when the block ends, however it does."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise storage_error(error, folder) or error from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
