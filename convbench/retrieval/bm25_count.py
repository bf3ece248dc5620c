"""Counting the words of a collection, block by block: the part of building a BM25 index that takes hours and can be interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.datasets.download.room import check_room
from convbench.datasets.store import PassageStore
from convbench.io.atomic import atomic_path
from convbench.progress import Advance, progress_bar
from convbench.retrieval import bm25_block
from convbench.retrieval.bm25_block import Block, Counting, open_block, write_block
from convbench.retrieval.index_folder import IndexFolder, Part
from convbench.views.passages import passage_text

POSTING = 8
"""Bytes of a posting in the index: a passage and a score."""

_READ = 10_000
"""Passages whose texts and words are in memory as Python objects at a time."""

_REMEMBERED = 1 << 18
"""Words whose stems are remembered while a collection is read; beyond that they are forgotten and stemmed again."""


def block_parts(passages: int) -> list[Part]:
    """The files of the blocks of so many passages."""
    starts = range(0, passages, bm25_block.ROWS)
    return [Part(f"block-{number:05d}.npy", min(bm25_block.ROWS, passages - start)) for number, start in enumerate(starts)]


def count_words(blocks: IndexFolder, files: list[Part], store: PassageStore, tokenizer: Any) -> None:
    """Writes the blocks that are missing or damaged; afterwards the tokenizer has the words of all of them.

    Words are numbered in the order in which they first come. So a block's numbers follow from the texts up to its end, whichever blocks
    before or after it are made again.

    Args:
        blocks: Where blocks are.
        files: All of them.
        store: The passages.
        tokenizer: Of bm25s, fresh.

    Raises:
        StorageError: The disk is full or has not enough room.
    """
    numbers = tokenizer.get_vocab_dict()
    missing = {file: fault for file in files if (fault := blocks.fault(file))}
    left = sum(file.rows for file in missing)
    with progress_bar("bm25: count words", len(store), done=len(store) - left, unit="passage") as advance:
        for number, file in enumerate(files):
            path, first = blocks.path / file.name, number * bm25_block.ROWS
            if file not in missing:
                numbers.update(zip(open_block(path).new_words, count(len(numbers)), strict=False))
                continue
            blocks.report(file, missing[file])
            block = _counted(store, first, first + file.rows, tokenizer, advance)
            if left:
                _check_room_for_all(blocks.path, block, left, len(store))
                left = 0
            with atomic_path(path) as temporary:
                write_block(block, temporary)
            blocks.record(file)
            del block  # or it would stay in memory while the next one is counted


def _counted(store: PassageStore, first: int, stop: int, tokenizer: Any, advance: Advance) -> Block:
    numbers, counting = tokenizer.get_vocab_dict(), Counting()
    before = len(numbers)
    for start in range(first, stop, _READ):
        texts = [passage_text(passage) for passage in store.texts(start, min(start + _READ, stop))]
        counting.add(tokenizer.tokenize(texts, update_vocab=True, allow_empty=False, show_progress=False))
        if tokenizer.stemmer is not None and len(tokenizer.word_to_id) > _REMEMBERED:
            tokenizer.word_to_id.clear()
            tokenizer.word_to_stem.clear()
        advance(len(texts))
    added = list(islice(reversed(numbers), len(numbers) - before))
    return counting.block(added[::-1])


def _check_room_for_all(folder: Path, block: Block, left: int, passages: int) -> None:
    """Refuses to begin where the disk has no room, going by the first block.

    Args:
        folder: Of the blocks.
        block: One of them.
        left: Passages that are not counted yet.
        passages: Of the collection.
    """
    rows = len(block.lengths)
    once, held = sum(array.nbytes for array in block) / rows, len(block.rows) / rows
    first = f"{left:,} passages take {once:.0f} bytes each while the index is built"
    then = f"{passages:,} passages hold {held:.0f} different words each, of {POSTING} bytes"
    check_index_room(folder, f"{first}, then {then}", int(left * once + passages * held * POSTING))


def totals(blocks: Sequence[Path], words: int, passages: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """For every word how many passages hold it, and the passages' lengths."""
    held_by, lengths, row = np.zeros(words, np.int64), np.empty(passages, np.int32), 0
    for path in blocks:
        block = open_block(path)
        held_by[block.words] += np.diff(block.ends)
        lengths[row : row + len(block.lengths)] = block.lengths
        row += len(block.lengths)
    return held_by, lengths


def check_index_room(folder: Path, what: str, needed: int) -> None:
    """Refuses to begin what the disk cannot hold.

    Args:
        folder: Where the index is built.
        what: Of what so much is needed, with the arithmetic.
        needed: Bytes.

    Raises:
        StorageError: The disk has less room.
    """
    check_room([(folder, needed)], f"{what}; free some space, or set CONVBENCH_CACHE to another disk")
